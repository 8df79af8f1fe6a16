"""The shape of the world: points, distances, zones, fences, travel times and streets. Pure: no I/O."""
