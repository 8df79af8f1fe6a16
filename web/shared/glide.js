// How a marker moves between fixes: straight on for as long as the next fix should take, and at once where gliding would lie.
// Pure, so that any test can run it. Times in milliseconds, places in degrees.
const GLIDE_MIN_MS = 250, GLIDE_MAX_MS = 5000, SNAP_M = 400, M_PER_DEGREE = 111_320;

const away_m = (a, b) => Math.hypot((a.lat - b.lat) * M_PER_DEGREE, (a.lng - b.lng) * M_PER_DEGREE * Math.cos((a.lat * Math.PI) / 180));

// Returns the glide to `position` from wherever `old` has come to by `at`; `still` asks for no motion.
export function glideTo(old, position, at, still = false) {
  const to = { lat: position.lat, lng: position.lng, heading: position.heading ?? old?.to.heading ?? 0 };
  const from = old && along(old, at);
  const gap_ms = old ? position.t - old.t : 0;
  if (!from || still || gap_ms > 2 * GLIDE_MAX_MS || away_m(from, to) > SNAP_M) return { from: to, to, start: at, length: 0, t: position.t };
  const length = Math.min(GLIDE_MAX_MS, Math.max(GLIDE_MIN_MS, gap_ms * 1.1));
  return { from, to, start: at, length, t: position.t };
}

// Where the marker is at `at`: never past its last fix.
export function along({ from, to, start, length }, at) {
  const share = length ? Math.min(1, Math.max(0, (at - start) / length)) : 1;
  const turn = ((to.heading - from.heading + 540) % 360) - 180;
  return {
    lat: from.lat + share * (to.lat - from.lat), lng: from.lng + share * (to.lng - from.lng),
    heading: (from.heading + Math.min(1, share * 3) * turn + 360) % 360,
  };
}
export const arrived = ({ start, length }, at) => at - start >= length;
