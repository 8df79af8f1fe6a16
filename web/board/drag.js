// Drag to assign: take a delivery, from the list or the map, by mouse or finger, and let go of it over a driver.
import { useLayoutEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { DriverMark, html } from "../shared/ui.js";
import { onShift } from "./filters.js";
import { about, askFits, choices, fits, fitWords, give, together } from "./give.js";
import { deliveryOf, driverOf, held, movable, say } from "./state.js";

const MOVED_PX = 6, HOLD_MS = 350, CLICK_MS = 50, EDGE_PX = 44, SCROLL_PX = 12;
// `{ ids, over }`: what is in the hand, and which driver it is over.
export const drag = signal(null);
let press = null, overMap = null;
export const dragOver = (find) => { overMap = find; };

const mayTake = (id) => { const driver = driverOf(id); return Boolean(driver) && onShift(driver) && !drag.value.ids.every((one) => deliveryOf(one)?.driver_id === id); };
function targetAt(x, y) {
  const element = document.elementFromPoint(x, y), row = element?.closest("[data-driver]");
  const id = row ? row.dataset.driver : element?.closest(".map") ? overMap?.(x, y) : null;
  return id && mayTake(id) ? id : null;
}
let hand = [0, 0];
function place(...at) {
  const ghost = document.querySelector(".ghost"), [x, y] = hand = at;
  if (ghost) ghost.style.transform = `translate(${Math.min(x + 14, innerWidth - ghost.offsetWidth - 4)}px, ${Math.min(y + 14, innerHeight - ghost.offsetHeight - 4)}px)`;
}
// Near its edge the list of drivers scrolls by itself: a finger in use can't.
function scroll(x, y) {
  const tray = document.querySelector(".tray ul"), box = tray?.getBoundingClientRect();
  if (!box || x < box.left || x > box.right || y < box.top || y > box.bottom) return;
  if (y < box.top + EDGE_PX) tray.scrollTop -= SCROLL_PX;
  if (y > box.bottom - EDGE_PX) tray.scrollTop += SCROLL_PX;
}

// `onStart` and `onEnd` are the map's, which stands still meanwhile.
export function pressed(event, id, { onStart, onEnd } = {}) {
  if (event.button || press || !movable(deliveryOf(id) ?? { status: "delivered" })) return;
  const touch = event.pointerType !== "mouse", { clientX: x, clientY: y, pointerId } = event;
  press = { ids: together(id), x, y, touch, pointerId, onEnd, timer: touch ? setTimeout(begin, HOLD_MS) : 0 };
  onStart?.();
}
function begin() {
  drag.value = { ids: press.ids, over: null };
  held.value = true;
  try { document.documentElement.setPointerCapture(press.pointerId); } catch { /* the finger is gone already: pointerup follows */ }
  if (press.touch) navigator.vibrate?.(15);
  askFits(press.ids);
  say(t("drag_hint"));
  hand = [press.x, press.y];
}
// The click that a browser makes of letting go means nothing.
const swallow = (event) => { event.stopPropagation(); event.preventDefault(); };
function end(drop) {
  const { ids, over } = drag.value ?? {}, was = press;
  clearTimeout(press?.timer);
  was?.onEnd?.();
  if (drag.value) {
    addEventListener("click", swallow, { capture: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }), CLICK_MS);
    held.value = false;
  }
  press = drag.value = null;
  if (drop && over) give(ids, over);
}
addEventListener("pointermove", (event) => {
  if (!press || event.pointerId !== press.pointerId) return;
  const { clientX: x, clientY: y } = event, far = Math.hypot(x - press.x, y - press.y) > MOVED_PX;
  if (!drag.value && far && press.touch) { end(false); return; }
  if (!drag.value && far) begin();
  if (!drag.value) return;
  place(x, y);
  scroll(x, y);
  const over = far || press.gone ? targetAt(x, y) : null;
  press.gone ||= far;
  if (over !== drag.value.over) drag.value = { ...drag.value, over };
});
addEventListener("pointerup", (event) => { if (press?.pointerId === event.pointerId) end(true); });
addEventListener("pointercancel", (event) => { if (press?.pointerId === event.pointerId) end(false); });
addEventListener("keydown", (event) => { if (drag.value && event.key === "Escape") { event.preventDefault(); event.stopImmediatePropagation(); end(false); say(t("drag_off")); } }, { capture: true });
document.addEventListener("touchmove", (event) => { if (drag.value) event.preventDefault(); }, { passive: false });
addEventListener("contextmenu", (event) => { if (press?.touch) event.preventDefault(); });

// What is in the hand, with what would become of it here; and, where the panel is, those who could take it.
export function Ghost() {
  const now = drag.value;
  useLayoutEffect(() => place(...hand));
  if (!now) return null;
  const one = deliveryOf(now.ids[0]), to = driverOf(now.over);
  return html`<div class="ghost" data-over=${Boolean(to)} aria-hidden="true"><b>${now.ids.length > 1 ? t("n_deliveries", { n: now.ids.length }) : one?.dropoff.address}</b>
    <small>${to ? html`→ ${to.name}${fits.value.has(to.id) ? ` · ${fitWords(fits.value.get(to.id))}` : ""}` : t("drag_to_driver")}</small></div>`;
}
export function Tray() {
  const now = drag.value;
  if (!now) return null;
  return html`<aside class="tray" aria-label=${t("drag_to_driver")}><h2>${t("who_could")}</h2><ul>${choices(now.ids).map((one) => html`
    <li key=${one.id} data-driver=${one.id} data-over=${now.over === one.id}><${DriverMark} state=${one.state}/><span><b>${one.name}</b><small>${about(one)}</small>
      ${fits.value.has(one.id) && html`<small class="fit" data-late=${fits.value.get(one.id).late_s > 0}>${fitWords(fits.value.get(one.id))}</small>`}</span></li>`)}</ul></aside>`;
}
