// The driver's page as one object: his account, the link to the server, where he is, and what to show of it all.
import { computed, signal } from "@preact/signals";
import { now } from "../shared/clock.js";
import { t } from "../shared/messages.js";
import { account, forgetAccount } from "./account.js";
import { at, follow, stayAwake, trouble } from "./gps.js";
import { openLink } from "./link.js";
import { openOutbox } from "./outbox.js";
import { actionsOf, countOf } from "./session.js";
import { onShift, picture, rank } from "./work.js";

const LOCK = "onward-driver", SAID_MS = 6000;

// `link`: null until this window is the one that works. `elsewhere`: another window of this phone is. `broken`: why nothing can be kept.
export const link = signal(null), elsewhere = signal(false), broken = signal(""), said = signal("");
export const waiting = computed(() => (link.value ? countOf(link.value.queue.value) : { fixes: 0, actions: 0, photos: 0 }));
const actions = computed(() => (link.value ? actionsOf(link.value.queue.value) : []));
export const shown = computed(() => (link.value ? picture(link.value.known.value, actions.value) : null));
export const shift = computed(() => shown.value?.shift ?? "offline"), silent = computed(() => shown.value?.silent ?? false);
// Who was taken off line for silence is still looked for: his next position brings him back.
export const working = computed(() => onShift(shift.value) || silent.value);
const stops = computed(() => shown.value?.stops ?? []);
// An offer without time left is none, whether the server could say so or not.
export const offer = computed(() => shown.value?.offers.find((one) => Date.parse(one.expires_at) > now.value) ?? null);
// Where to wait, until that is over, whether the server could say so or not.
export const move = computed(() => { const one = shown.value?.move; return one && Date.parse(one.expires_at) > now.value ? one : null; });
export { at, trouble };

let silence = 0;
export function say(text) {
  said.value = text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.value = ""; }, SAID_MS);
}

// What the server would not do, in words. That a stop was reached before he said so himself is no news.
const WORDS = { offer_gone: "dr_offer_gone", not_found: "dr_not_yours", illegal_transition: "dr_not_now", wrong_code: "dr_wrong_code", bad_image: "dr_bad_photo" };
function refused(action, { code, detail }) {
  if (code === "storage") { say(t("dr_storage", { detail })); return; }
  const stop = stops.peek().find((one) => one.delivery_id === action.delivery_id);
  if (action.type === "status" && code === "illegal_transition" && (!stop || rank(stop.status) >= rank(action.status))) return;
  const noPhoto = action.status === "delivered" && code === "validation_failed";
  say(noPhoto ? t("dr_photo_first") : WORDS[code] ? t(WORDS[code]) : t("dr_refused", { detail: detail || code }));
}

async function work(mine) {
  const outbox = await openOutbox(account.driver_id);
  navigator.storage.persist();
  const opened = await openLink({ token: account.token, outbox, onRefused: refused, onMessage: ({ name, text }) => say(`${name}: ${text}`) });
  if (!mine()) { opened.close(); return; }
  link.value = opened;
  elsewhere.value = false;
}
// One window works; another waits its turn, or takes it. Who it was taken from lets go of everything.
export function begin({ steal = false } = {}) {
  let had = false, mine = true;
  const hold = async () => { had = true; await work(() => mine); return new Promise(() => {}); };
  if (!steal) navigator.locks.query().then(({ held }) => { elsewhere.value = !had && held.some((lock) => lock.name === LOCK); });
  navigator.locks.request(LOCK, { steal }, hold).catch((error) => {
    if (error.name !== "AbortError") { broken.value = error.message; return; }
    mine = false;
    link.value?.close();
    link.value = null;
    elsewhere.value = true;
  });
}

export const act = (type, fields) => link.value.act(type, fields);
// `more`: why (`reason`), or the PIN or barcode (`code`).
export const report = (stop, status, more = {}) => act("status", { delivery_id: stop.delivery_id, status, ...more });
export const goTo = (state) => act("availability", { state });
export const declineMove = (one) => act("move_decline", { move_id: one.id });
export const reply = (one, answer, reason) => act("offer_reply", { offer_id: one.id, reply: answer, ...(reason ? { reason } : {}) });
export function leave() {
  link.value?.close();
  forgetAccount();
  location.reload();
}

// Browsers give a position, a worker and a lock to secure pages alone.
if (account && isSecureContext) {
  begin();
  const period_ms = computed(() => link.value?.period_ms.value ?? { idle: 10_000, far: 4000, near: 1000 });
  follow({ working, stops, period_ms, onFix: (fix) => link.value?.fix(fix) });
  stayAwake(working);
}
