// The viewer socket: snapshot, then facts in order, then the newest positions. A page holds no truth of its own: it shows
// what `reduce` makes of the frames, and says since when its picture is old.
import { signal } from "@preact/signals";

const BACKOFF_MIN_MS = 300, BACKOFF_MAX_MS = 8000;

// Pure: the object after one frame. Law: a snapshot and its deltas give what a fresh snapshot gives.
export function reduce(view, frame) {
  if (frame.type === "snapshot") return frame.object;
  if (frame.type === "delta") return frame.changes.reduce(change, view);
  if (frame.type === "positions") return frame.positions.reduce(move, view);
  return view;
}
function change(view, object) {
  if (object.kind === "tracking") return object;
  const put = (list, kind) => {
    if (object.kind !== kind && object.kind !== "gone") return list;
    const old = list.find((item) => item.id === object.id);
    if (object.kind === "gone") return old ? list.filter((item) => item !== old) : list;
    if (!old) return [...list, object];
    if ((object.version ?? 0) < (old.version ?? 0)) return list;
    return list.map((item) => (item === old ? object : item));
  };
  return { ...view, deliveries: put(view.deliveries, "delivery"), drivers: put(view.drivers, "driver") };
}
function move(view, [id, lat, lng, heading, speed_mps, t]) {
  const position = { lat, lng, heading, speed_mps, t };
  if (view.kind === "tracking") return view.driver?.id === id ? { ...view, driver: { ...view.driver, position } } : view;
  return { ...view, drivers: view.drivers.map((driver) => (driver.id === id ? { ...driver, position } : driver)) };
}

// Opens the socket and keeps it open. `view`: the object; `state`: connecting, live, lost or refused; `why`, `lost_at`.
export function watch(token, onFrame = () => {}) {
  const view = signal(null), state = signal("connecting"), why = signal(""), lostAt = signal(null);
  let since = null, backoff = BACKOFF_MIN_MS, socket = null, stopped = false;
  const lose = () => {
    if (state.value === "live") lostAt.value = Date.now();
    if (state.value !== "refused") state.value = lostAt.value ? "lost" : "connecting";
  };
  const open = () => {
    socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/live", "onward.v1.json");
    socket.onopen = () => socket.send(JSON.stringify({ type: "watch", token, ...(since ? { since } : {}) }));
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      if (frame.type === "nack") { why.value = frame.detail || frame.code; return; }
      if (frame.type === "snapshot" || frame.type === "resumed") {
        since = { epoch: frame.epoch, offset: frame.offset };
        backoff = BACKOFF_MIN_MS; state.value = "live"; lostAt.value = null;
      }
      if (frame.type === "delta" && since) since.offset = frame.offset;
      if (view.value || frame.type === "snapshot") view.value = reduce(view.value, frame);
      onFrame(frame, view.value);
    };
    socket.onclose = (event) => {
      if (stopped) return;
      if (event.code >= 4100 && event.code < 4300) { state.value = "refused"; return; }
      lose();
      setTimeout(open, backoff * (0.5 + Math.random()));
      backoff = Math.min(backoff * 2, BACKOFF_MAX_MS);
    };
  };
  open();
  addEventListener("online", () => { backoff = BACKOFF_MIN_MS; });
  return { view, state, why, lostAt, close: () => { stopped = true; socket.close(); } };
}
