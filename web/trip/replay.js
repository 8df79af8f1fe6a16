// Where the driver was at any moment of a trip, and in which colour of speed. Pure: it imports nothing. Times in ms, speeds in m/s.
// A position of the path is [t, lat, lng, speed].
export const COLORS = ["#b93a0a", "#dd862c", "#4a93c9", "#2f66d8"];
const STILL_MPS = 0.5, M_PER_DEGREE = 111_320;

// Returns the last position at or before `t` (the first, if none is).
export function indexAt(path, t) {
  let low = 0, high = path.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (path[middle][0] <= t) low = middle; else high = middle - 1;
  }
  return low;
}
export const gapAt = (gaps, t) => gaps.find(({ from, to }) => from < t && t < to);

// Between two positions he goes straight on; in a gap nobody knows, and he stays where he was seen last.
export function placeAt(path, gaps, t) {
  const at = indexAt(path, t), [t0, lat, lng, speed] = path[at], next = path[at + 1];
  if (!next || t < t0) return { lat, lng, speed, heading: heading(path[at - 1] ?? path[at], path[at]), phase: "standing" };
  const turned = heading(path[at], next);
  if (gapAt(gaps, t)) return { lat, lng, speed: 0, heading: turned, phase: "gap" };
  const share = (t - t0) / (next[0] - t0), mps = speed + share * (next[3] - speed);
  return { lat: lat + share * (next[1] - lat), lng: lng + share * (next[2] - lng), speed: mps, heading: turned, phase: mps < STILL_MPS ? "standing" : "moving" };
}
function heading([, lat, lng], [, lat2, lng2]) {
  const east = (lng2 - lng) * Math.cos((lat * Math.PI) / 180) * M_PER_DEGREE, north = (lat2 - lat) * M_PER_DEGREE;
  return (Math.atan2(east, north) * 180) / Math.PI;
}

// The upper ends of all colours but the last: even steps up to a round number near the highest speed.
export function bands(path) {
  const top_kmh = Math.max(8, ...path.map(([, , , mps]) => mps * 3.6)), step = Math.ceil(top_kmh / COLORS.length / 2) * 2;
  return COLORS.slice(1).map((_, n) => ((n + 1) * step) / 3.6);
}
const bandOf = (ends, mps) => { const at = ends.findIndex((end) => mps <= end); return at < 0 ? ends.length : at; };

// The way in parts of one colour each, cut where there is a gap.
export function parts(path, gaps, ends) {
  const found = [];
  for (let n = 1; n < path.length; n++) {
    const [a, b] = [path[n - 1], path[n]];
    if (gaps.some(({ from, to }) => a[0] >= from && b[0] <= to)) continue;
    const color = COLORS[bandOf(ends, (a[3] + b[3]) / 2)], last = found.at(-1);
    if (last && last.color === color && last.to === n - 1) { last.points.push({ lat: b[1], lng: b[2] }); last.to = n; }
    else found.push({ color, to: n, points: [{ lat: a[1], lng: a[2] }, { lat: b[1], lng: b[2] }] });
  }
  return found;
}
