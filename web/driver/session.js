// The driver's side of the protocol, without I/O: what waits, what was sent, what may go now, what is safe to forget.
//
// A queue is { sent, waiting, seq }. A row is kept under `n`, its place in time, and is one of
//   { n, fix }            a reading, not yet in a frame
//   { n, action, photo? } something he did; with `photo` it waits until the picture is with the server
//   { n, seq, frame }     sent, or on its way: the number stays the same however often it goes
// Functions return a new queue and what the outbox has to do first: { put, remove, seq }.
export const FIXES_PER_FRAME_MAX = 500;
export const IN_FLIGHT_MAX = 40;

const byN = (a, b) => a.n - b.n;

export function queueOf(rows, seq) {
  const sent = rows.filter((row) => row.frame).sort((a, b) => a.frame.seq - b.frame.seq);
  return { sent, waiting: rows.filter((row) => !row.frame).sort(byN), seq: Math.max(seq, sent.at(-1)?.frame.seq ?? 0) };
}

const lastFix = ({ sent, waiting }) => waiting.findLast((row) => row.fix)?.fix ?? sent.findLast((row) => row.frame.fixes)?.frame.fixes.at(-1);

// A page that was loaded anew is told the phone's last reading again: it is kept once.
export function add(queue, row) {
  if (row.fix && row.fix.t === lastFix(queue)?.t) return { queue };
  const n = Math.max(0, ...queue.sent.map((one) => one.n), queue.waiting.at(-1)?.n ?? 0) + 1, kept = { n, ...row };
  return { queue: { ...queue, waiting: [...queue.waiting, kept] }, put: [kept] };
}

// Gives numbers to what may go: actions in the order they were done; readings many to a frame. Nothing he did overtakes a
// picture that is still on its way, for the server wants it first; readings do, so that the dot on the map lives on.
export function stamp(queue) {
  let { seq } = queue, held = false, reading = [];
  const room = () => IN_FLIGHT_MAX - queue.sent.length - put.length;
  const put = [], remove = [], left = [];
  const number = (n, message) => put.push({ n, frame: { seq: seq += 1, ...message } });
  const flush = () => {
    while (reading.length && room() > 0) {
      const [first, ...more] = reading.splice(0, FIXES_PER_FRAME_MAX);
      remove.push(...more.map((row) => row.n));
      number(first.n, { type: "fixes", fixes: [first, ...more].map((row) => row.fix) });
    }
    left.push(...reading);
    reading = [];
  };
  for (const row of queue.waiting) {
    if (row.fix) { reading.push(row); continue; }
    if (!held) flush();
    held ||= Boolean(row.photo) || room() <= 0 || left.length > 0;
    if (held) left.push(row); else number(row.n, row.action);
  }
  flush();
  const packed = { sent: [...queue.sent, ...put], waiting: left.sort(byN), seq };
  return { queue: packed, put, remove, seq };
}

// The picture to upload now: the first thing that waits, once the server has heard all that he did before it.
export function photoToSend(queue) {
  const first = queue.waiting.find((row) => row.action);
  return first?.photo && !queue.sent.some((row) => row.frame.type !== "fixes") ? first : null;
}
export function photoSent(queue, n, proofId) {
  const put = [];
  const waiting = queue.waiting.map((row) => {
    if (row.n !== n) return row;
    put.push({ n, action: { ...row.action, proof_id: proofId } });
    return put[0];
  });
  return { queue: { ...queue, waiting }, put };
}
export function drop(queue, n) {
  return { queue: { ...queue, waiting: queue.waiting.filter((row) => row.n !== n) }, remove: [n] };
}

// Everything up to `upTo` is safe with the server; `gone` are those rows. A server that knows higher numbers is right.
export function forget(queue, upTo) {
  const gone = queue.sent.filter((row) => row.frame.seq <= upTo), seq = Math.max(queue.seq, upTo);
  return { queue: { ...queue, sent: queue.sent.filter((row) => row.frame.seq > upTo), seq }, gone, remove: gone.map((row) => row.n), seq };
}

export const helloOf = (queue, { token, deviceId, clockMs }) => ({
  type: "hello", token, device_id: deviceId, app: "onward-web/1", clock_ms: clockMs, last_acked_seq: (queue.sent[0]?.frame.seq ?? queue.seq + 1) - 1,
});

// What he did that the server has not confirmed, oldest first.
export const actionsOf = (queue) => [...queue.sent.filter((row) => row.frame.type !== "fixes").map((row) => ({ n: row.n, ...row.frame })),
  ...queue.waiting.filter((row) => row.action).map((row) => ({ n: row.n, ...row.action, photo: row.photo }))].sort(byN);

export function countOf(queue) {
  const inFrames = queue.sent.reduce((sum, row) => sum + (row.frame.fixes?.length ?? 0), 0), actions = actionsOf(queue);
  const photos = actions.filter((action) => action.type === "proof_ref").length;
  return { fixes: inFrames + queue.waiting.filter((row) => row.fix).length, actions: actions.length - photos, photos };
}
