// The viewer socket, kept open: it says what the object is, and since when the picture is old. A page holds no truth of its own.
import { batch, signal } from "@preact/signals";
import { hearServerTime } from "./clock.js";
import { reduce } from "./reduce.js";

export { reduce };
const SUBPROTOCOL = "onward.v1.json";
const BACKOFF_MIN_MS = 300, BACKOFF_MAX_MS = 8000, POLL_AFTER_FAILURES = 3;

// Close codes come in ranges: 40xx try again, 41xx get a new token first, 42xx stop.
export function afterClose(code) {
  if (code >= 4100 && code < 4200) return "refused";
  return code >= 4200 && code < 4300 ? "ended" : "retry";
}

// `view`: the object. `facts`: the same, but it changes with facts alone, not with each position: lists follow this one.
// `numbers`: a board's numbers, which come by themselves. However many frames arrive, the page works once per drawn frame.
// `state`: connecting, live, polling, lost (it was there), away (it never was), refused or ended; `lostAt` in milliseconds.
// `poll`: the HTTP path of the same object, for networks that let no socket through.
export function watch(token, { poll, onFacts = () => {} }) {
  const view = signal(null), facts = signal(null), numbers = signal(null), state = signal("connecting"), lostAt = signal(null);
  let waiting = [], moved = new Map(), planned = 0;
  let screen = null, since = null, backoff_ms = BACKOFF_MIN_MS, failures = 0, socket = null, timer = 0, stopped = false;

  const take = (frame) => {
    const before = view.value;
    view.value = reduce(before, frame);
    if (frame.type === "positions" || !view.value) return;
    if (frame.type === "snapshot" && frame.object.server_time) hearServerTime(frame.object.server_time);
    if (frame.type === "snapshot" && frame.object.numbers) numbers.value = frame.object.numbers;
    facts.value = view.value;
    onFacts(before, view.value, frame);
  };
  const work = () => {
    cancelAnimationFrame(planned);
    planned = 0;
    const frames = waiting, positions = [...moved.values()];
    waiting = []; moved = new Map();
    if (positions.length) frames.push({ type: "positions", positions });
    batch(() => frames.forEach(take));
  };
  // Facts keep their order; of a driver's positions only the newest is worth applying. A tab that nobody sees is not drawn: at once.
  const hear = (frame) => {
    if (frame.type === "positions") for (const row of frame.positions) moved.set(row[0], row);
    else waiting.push(frame);
    if (document.hidden || frame.type === "snapshot") work(); else planned ||= requestAnimationFrame(work);
  };
  document.addEventListener("visibilitychange", work);
  const arrive = (how) => { state.value = how; lostAt.value = null; };
  const lose = () => {
    if (state.value === "live" || state.value === "polling") lostAt.value = Date.now();
    state.value = lostAt.value ? "lost" : failures < POLL_AFTER_FAILURES ? "connecting" : "away";
  };
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(open, backoff_ms * (0.5 + Math.random()));
    backoff_ms = Math.min(backoff_ms * 2, BACKOFF_MAX_MS);
  };
  const stop = (how) => { stopped = true; clearTimeout(timer); state.value = how; };

  const ask = async () => {
    try {
      const reply = await fetch(poll, { headers: { Authorization: `Bearer ${token}` } });
      const body = await reply.json();
      if (reply.ok) { hear({ type: "snapshot", object: body }); arrive("polling"); return; }
      if (reply.status === 401 || reply.status === 403 || reply.status === 404) { stop("refused"); return; }
    } catch { /* no network at all: said below, tried again with the socket */ }
    lose();
  };

  function open() {
    if (stopped || socket?.readyState <= WebSocket.OPEN) return;
    let opened = false;
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws/live`, SUBPROTOCOL);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "watch", token, ...(since ? { since } : {}) }));
      if (screen) socket.send(JSON.stringify(screen));
    };
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      if (frame.type === "nack") return;
      if (frame.type === "numbers") { numbers.value = frame.numbers; return; }
      if (frame.type === "snapshot" || frame.type === "resumed") {
        since = { epoch: frame.epoch, offset: frame.offset };
        opened = true; failures = 0; backoff_ms = BACKOFF_MIN_MS;
        arrive("live");
      }
      if (frame.type === "delta" && since) since.offset = frame.offset;
      hear(frame);
    };
    socket.onclose = async (event) => {
      if (stopped) return;
      const next = afterClose(event.code);
      if (next !== "retry") { stop(next); return; }
      failures += opened ? 0 : 1;
      if (poll && failures >= POLL_AFTER_FAILURES) { since = null; await ask(); } else lose();
      if (!stopped) again();
    };
  }
  open();
  addEventListener("offline", () => { if (!stopped) { lose(); socket.close(); } });
  addEventListener("online", () => { backoff_ms = BACKOFF_MIN_MS; again(); });
  // What the screen shows of the map, { box: [south, west, north, east], step_m }: positions come of what can be seen there.
  const look = (seen) => {
    screen = { type: "look", ...seen };
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(screen));
  };
  return { view, facts, numbers, state, lostAt, look, close: () => { stop("ended"); socket.close(); } };
}
