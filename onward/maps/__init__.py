"""City maps: imported from OpenStreetMap extracts, kept as a street graph and vector tiles, served by us."""
