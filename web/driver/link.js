// The driver's socket, kept open: what he does goes to the disk first, then to the server, and leaves the disk when that has it.
import { batch, signal } from "@preact/signals";
import { hearServerTime } from "../shared/clock.js";
import { afterClose } from "../shared/live.js";
import * as session from "./session.js";
import { hear, nothing, settle } from "./work.js";

const SUBPROTOCOL = "onward.v1.json";
const BACKOFF_MIN_MS = 300, BACKOFF_MAX_MS = 8000, ACK_MAX_MS = 20_000, RESEND_MS = 300, PHOTO_RETRY_MS = 3000, GREETING_MAX_MS = 10_000;
const AGAIN = new Set([401, 408, 425, 429]);
const ANSWERS = new Set(["welcome", "route", "offer", "offer_gone", "shift", "message", "move"]);

// `state`: connecting, live, lost, refused (sign in again) or ended (another window took over); `lostAt` in milliseconds.
// `queue`: what the server does not have yet. `known`: its last word. `onRefused`: called with what it would not do, and why;
// `onMessage`: with what somebody wrote.
export async function openLink({ token, outbox, onRefused, onMessage }) {
  const kept = await outbox.load();
  const queue = signal(session.queueOf(kept.rows, kept.seq)), known = signal({ ...nothing, ...kept.state });
  const state = signal("connecting"), lostAt = signal(navigator.onLine ? null : Date.now()), period_ms = signal({ idle: 10_000, far: 4000, near: 1000 });
  let socket = null, welcomed = false, stopped = false, uploading = false, backoff_ms = BACKOFF_MIN_MS, chain = Promise.resolve();
  const refused = new Map(), timers = {};

  const later = (name, run, ms) => { clearTimeout(timers[name]); timers[name] = setTimeout(run, ms); };
  const never = (name) => { clearTimeout(timers[name]); delete timers[name]; };
  // One change of the queue at a time: disk first, then the page, then the socket.
  const inOrder = (work) => { chain = chain.then(work).catch((error) => onRefused(null, { code: "storage", detail: error.message })); return chain; };
  const keep = async ({ queue: next, ...change }) => { await outbox.change({ seq: next.seq, ...change }); queue.value = next; };
  const learn = (next) => { if (next !== known.peek()) { known.value = next; outbox.keepState(next).catch(() => {}); } };
  const send = (message) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };
  // A socket can be dead and not know it: no answer to what was sent says so.
  const awaitAck = () => { if (!queue.peek().sent.length) never("ack"); else if (!timers.ack) later("ack", cut, ACK_MAX_MS); };
  const resend = () => { if (welcomed) { queue.peek().sent.forEach((row) => send(row.frame)); awaitAck(); } };

  const flush = () => inOrder(async () => {
    if (!welcomed) return;
    const stamped = session.stamp(queue.peek());
    if (!stamped.put.length) return;
    await keep(stamped);
    if (welcomed) { stamped.put.forEach((row) => send(row.frame)); awaitAck(); }
  }).then(upload);

  async function safeUpTo(seq) {
    const before = queue.peek(), after = session.forget(before, seq);
    never("ack");
    let next = known.peek();
    for (const { frame } of after.gone.filter((row) => row.frame.type !== "fixes")) {
      next = settle(next, frame, refused.has(frame.seq));
      refused.delete(frame.seq);
    }
    // What was confirmed becomes the server's word as it leaves the queue: the page never steps back in between.
    batch(() => { learn(next); queue.value = after.queue; });
    if (after.gone.length || after.seq !== before.seq) await outbox.change(after);
  }

  async function upload() {
    const row = welcomed && !uploading ? session.photoToSend(queue.peek()) : null;
    if (!row) return;
    uploading = true;
    const { delivery_id, t } = row.action, place = row.at ? `&lat=${row.at.lat}&lng=${row.at.lng}` : "";
    let reply = null, answer = {};
    try {
      reply = await fetch(`/api/v1/driver/deliveries/${delivery_id}/proof?kind=${row.kind ?? "photo"}&t=${t}${place}`, { method: "POST", body: row.photo, headers: { Authorization: `Bearer ${token}`, "Content-Type": row.photo.type }, signal: AbortSignal.timeout(60_000) });
      answer = await reply.json();
    } catch { reply = null; }
    uploading = false;
    if (reply?.ok) await inOrder(() => keep(session.photoSent(queue.peek(), row.n, answer.id)));
    else if (!reply || reply.status >= 500 || AGAIN.has(reply.status)) { later("photo", upload, PHOTO_RETRY_MS); return; }
    else { await inOrder(() => keep(session.drop(queue.peek(), row.n))); onRefused(row.action, answer); }
    await flush();
  }

  const take = {
    welcome(frame) {
      const greeted = socket;
      never("greeting");
      hearServerTime(frame.server_clock_ms);
      batch(() => { learn(hear(known.peek(), frame)); state.value = "live"; lostAt.value = null; });
      backoff_ms = BACKOFF_MIN_MS;
      // First all that was sent before, then what is new: the server takes a lower number after a higher one for an old one.
      inOrder(async () => {
        await safeUpTo(frame.resume_seq);
        if (greeted === socket) { welcomed = true; resend(); }
      }).then(flush);
    },
    ack(frame) { inOrder(async () => { await safeUpTo(frame.seq); awaitAck(); }).then(flush); },
    nack(frame) {
      if (frame.retry) { later("resend", resend, RESEND_MS); return; }
      const row = queue.peek().sent.find((one) => one.frame.seq === frame.seq);
      if (row) { refused.set(frame.seq, frame); onRefused(row.frame, frame); }
    },
    config(frame) { period_ms.value = frame.period_ms; },
    message(frame) { onMessage(frame); },
    ping(frame) { send({ type: "pong", t: frame.t }); },
  };

  function open() {
    if (stopped || socket) return;
    const mine = socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws/driver`, SUBPROTOCOL);
    later("greeting", cut, GREETING_MAX_MS);
    mine.onopen = () => send(session.helloOf(queue.peek(), { token, deviceId: kept.deviceId, clockMs: Date.now() }));
    mine.onmessage = (event) => {
      if (mine !== socket) return;
      const frame = JSON.parse(event.data);
      take[frame.type]?.(frame);
      if (frame.type !== "welcome" && ANSWERS.has(frame.type)) learn(hear(known.peek(), frame));
    };
    mine.onclose = (event) => {
      if (mine !== socket) return;
      const next = afterClose(event.code);
      if (next !== "retry") stop(next);
      cut();
    };
  }
  // The socket is no more, whether it knows or not.
  function cut() {
    const old = socket;
    socket = null; welcomed = false;
    never("ack"); never("greeting");
    old?.close();
    if (stopped) return;
    lostAt.value ??= Date.now();
    state.value = "lost";
    later("open", open, backoff_ms * (0.5 + Math.random()));
    backoff_ms = Math.min(backoff_ms * 2, BACKOFF_MAX_MS);
  }
  function stop(how) { stopped = true; Object.values(timers).forEach(clearTimeout); state.value = how; }

  addEventListener("offline", cut);
  addEventListener("online", () => { backoff_ms = BACKOFF_MIN_MS; if (!socket) later("open", open, 0); });
  open();
  return {
    queue, known, state, lostAt, period_ms,
    // Resolves when it is on the disk.
    act: (type, fields) => inOrder(() => keep(session.add(queue.peek(), { action: { type, id: crypto.randomUUID(), t: Date.now(), ...fields } }))).then(flush),
    photograph: (delivery_id, photo, at, kind = "photo") => inOrder(() => keep(session.add(queue.peek(), { action: { type: "proof_ref", id: crypto.randomUUID(), t: Date.now(), delivery_id }, photo, at, kind }))).then(flush),
    fix: (fix) => inOrder(() => keep(session.add(queue.peek(), { fix }))).then(flush),
    close: () => { stop("ended"); cut(); outbox.close(); },
  };
}
