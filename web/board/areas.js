// Where to look: an area drawn on the map, or one of the paused zones, as GeoJSON geometries.
import { computed, signal } from "@preact/signals";
import { inside, polygon } from "../shared/ground.js";
import { token } from "../shared/session.js";
import { api } from "../shared/ui.js";

// `paused`: the zones of /rules/, null before they are known.
export const paused = signal(null);
export const loadZones = () => api(token, "/dispatch/zones/pauses").then((found) => { paused.value = found.data; }, () => { paused.value ??= []; });

// In the URL an area is longitudes and latitudes in turn: two corners are a rectangle, three and more a polygon.
export function areaOf(text) {
  const numbers = text ? text.split(",").map(Number) : [];
  if (numbers.length < 4 || numbers.length % 2 || !numbers.every(Number.isFinite)) return null;
  if (numbers.length > 4) return polygon(numbers.flatMap((lng, n) => (n % 2 ? [] : [{ lng, lat: numbers[n + 1] }])));
  const [west, south, east, north] = numbers;
  return polygon([[west, south], [east, south], [east, north], [west, north]].map(([lng, lat]) => ({ lng, lat })));
}
export function textOf(corners) {
  const ends = ([a, b]) => [{ lng: Math.min(a.lng, b.lng), lat: Math.min(a.lat, b.lat) }, { lng: Math.max(a.lng, b.lng), lat: Math.max(a.lat, b.lat) }];
  return (corners.length === 2 ? ends(corners) : corners).flatMap(({ lng, lat }) => [lng.toFixed(5), lat.toFixed(5)]).join(",");
}
// A zone that is paused no more hides nothing.
export const zoneOf = (id) => paused.value?.find((zone) => zone.id === id);
export const looksAt = ({ area, zone }) => computed(() => [areaOf(area.value), zoneOf(zone.value)?.area].filter(Boolean));
export const within = (areas, ...places) => areas.every((one) => places.some((place) => place && inside(one, place)));
