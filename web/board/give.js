// A dispatcher's word: these deliveries to this driver, or back to the engine; what became of each; and twenty seconds to undo it.
import { useEffect, useRef } from "preact/hooks";
import { computed, effect, signal, useSignal } from "@preact/signals";
import { duration, time } from "../shared/format.js";
import { has, t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { DriverMark, Icon, api, html } from "../shared/ui.js";
import { onShift } from "./filters.js";
import { deliveryOf, driverOf, drivers, matching, movable, order, say, selected, tab } from "./state.js";

const UNDO_MS = 20_000, ITEMS_MAX = 200, SHOWN_MAX = 60;

// Chosen together, by tick, Ctrl or Shift; what was finished meanwhile or is filtered out is not chosen any more.
const ticked = signal(new Set());
export const chosen = computed(() => matching.value.filter((d) => ticked.value.has(d.id) && movable(d)).map((d) => d.id));
let anchor = null;
export const isTicked = (id) => ticked.value.has(id);
export const untick = () => { ticked.value = new Set(); };
export function tick(id, { range = false } = {}) {
  const next = new Set(ticked.value), ids = order.value, span = range && ids.includes(anchor) ? [ids.indexOf(anchor), ids.indexOf(id)].sort((a, b) => a - b) : null;
  if (span) for (const one of ids.slice(span[0], span[1] + 1)) next.add(one);
  else if (!next.delete(id)) next.add(id);
  if (!span) anchor = id;
  ticked.value = next;
}
export const together = (id) => (chosen.value.includes(id) ? chosen.value : [id]);

// Each succeeds or fails on its own: `results` are those of the last bulk with a failure, `undo` takes back what succeeded.
const results = signal(null), undo = signal(null);
let timer = 0;
const send = async (items) => {
  const data = [];
  for (let at = 0; at < items.length; at += ITEMS_MAX) {
    const body = { items: items.slice(at, at + ITEMS_MAX) };
    data.push(...(await api(token, "/dispatch/deliveries/reassign", { method: "POST", body })).data);
  }
  return data;
};
const why = (one) => (has(`e_${one.code}`) ? t(`e_${one.code}`) : one.detail);
export async function give(ids, driver_id, words) {
  clearTimeout(timer);
  undo.value = null;
  const data = await send(ids.map((delivery_id) => ({ delivery_id, driver_id }))).catch((error) => ids.map((delivery_id) => ({ delivery_id, ok: false, detail: error.message })));
  const done = data.filter((one) => one.ok), wrong = data.filter((one) => !one.ok);
  const name = driverOf(driver_id)?.name, code = deliveryOf(ids[0])?.short_code;
  const told = wrong.length ? t("moved_partly", { n: done.length, all: ids.length }) : words ?? (ids.length > 1
    ? t(driver_id ? "given_many" : "given_back_many", { n: ids.length, name }) : t(driver_id ? "given_to" : "given_back", { code, name }));
  say(told);
  results.value = wrong.length ? { told, list: data.map((one) => ({ code: deliveryOf(one.delivery_id)?.short_code, ok: one.ok, text: one.ok ? t("done") : why(one) })) } : null;
  if (!done.length) return;
  untick();
  undo.value = { words: told, back: done.map((one) => ({ delivery_id: one.delivery_id, driver_id: one.previous_driver_id })) };
  timer = setTimeout(() => { undo.value = null; }, UNDO_MS);
}
async function takeBack() {
  const { back } = undo.value;
  undo.value = null;
  const wrong = (await send(back).catch((error) => [{ ok: false, detail: error.message }])).filter((one) => !one.ok);
  say(wrong.length ? why(wrong[0]) : t("undone"));
}
// All of a driver's work that is not in his hands yet.
export const relieve = (driver) => give(driver.delivery_ids.filter((id) => movable(deliveryOf(id) ?? { status: "delivered" })), null, t("moved_all", { name: driver.name }));

export function Undo() {
  const last = undo.value;
  return last && html`<p class="undo"><span>${last.words}</span><button class="btn" onClick=${takeBack}>${t("undo")}</button></p>`;
}
export function Results() {
  const ref = useRef(null), last = results.value;
  useEffect(() => { if (last) ref.current.showModal(); }, [last]);
  return last && html`<dialog ref=${ref} onClose=${() => { results.value = null; }} aria-labelledby="results-title"><form method="dialog">
    <h2 id="results-title">${last.told}</h2>
    <ul class="results">${last.list.map((one) => html`<li key=${one.code} data-ok=${one.ok}><span class="code">${one.code}</span><span>${one.ok && html`<${Icon} name="check"/>`}${one.text}</span></li>`)}</ul>
    <div class="actions"><button class="btn main">${t("close")}</button></div></form></dialog>`;
}
export function Bulk() {
  const ids = chosen.value;
  return ids.length > 0 && html`<div class="bulk" role="toolbar" aria-label=${t("chosen", { n: ids.length })}><b class="num">${t("chosen", { n: ids.length })}</b>
    <button class="btn" onClick=${() => ask(ids)}>${t("assign")}</button><button class="btn" onClick=${() => give(ids, null)}>${t("find_another")}</button>
    <button class="btn icon quiet" aria-label=${t("untick")} title=${t("untick")} onClick=${untick}><${Icon} name="close"/></button></div>`;
}

// What each driver would make of it, asked of the server when somebody is about to choose.
const asked = signal({ of: null, fits: new Map() });
export const fits = computed(() => asked.value.fits);
export async function askFits(ids) {
  const id = ids.length === 1 ? ids[0] : null;
  asked.value = { of: id, fits: new Map() };
  if (!id) return;
  const data = await api(token, `/dispatch/deliveries/${id}/drivers`).then((answer) => answer.data, () => []);
  if (asked.value.of === id) asked.value = { of: id, fits: new Map(data.map((fit) => [fit.driver_id, fit])) };
}
export function fitWords(fit) {
  if (!fit) return "";
  const words = t("fit", { time: duration(Math.max(60, fit.added_s)), stop: fit.stop, at: time(fit.dropoff_at) });
  return fit.late_s > 0 ? `${words} · ${t("fit_late", { time: duration(Math.max(60, fit.late_s)) })}` : words;
}
const RANK = { available: 0, busy: 1 };
// Who can be given something: whoever has it at the door first, then the others by state and name.
export function choices(ids, words = "") {
  const holders = new Set(ids.map((id) => deliveryOf(id)?.driver_id)), holder = holders.size === 1 ? [...holders][0] : null;
  const at = (driver) => fits.value.get(driver.id)?.dropoff_at ?? "9";
  return drivers.value.filter((one) => onShift(one) && one.id !== holder && one.name.toLowerCase().includes(words))
    .sort((a, b) => at(a).localeCompare(at(b)) || RANK[a.state] - RANK[b.state] || a.name.localeCompare(b.name)).slice(0, SHOWN_MAX);
}
export const about = (one) => [t(`d_${one.state}`), t(`v_${one.vehicle}`), ...(one.delivery_ids.length ? [t("has_n", { n: one.delivery_ids.length })] : [])].join(" · ");

// The dialog: begin to write a name, Enter takes the first.
const assigning = signal(null);
export function ask(ids) {
  const free = ids.filter((id) => movable(deliveryOf(id) ?? { status: "delivered" }));
  if (free.length) { assigning.value = free; askFits(free); }
}
export const askHere = (id) => ask(chosen.value.length ? chosen.value : [id ?? selected.value].filter((one) => deliveryOf(one)));
function Assign({ ids }) {
  const ref = useRef(null), words = useSignal(""), at = useSignal(0);
  useEffect(() => ref.current.showModal(), []);
  const list = [{ id: null, name: t("engine_chooses") }, ...choices(ids, words.value.trim().toLowerCase())].filter((one) => one.id || !words.value);
  const here = Math.min(at.value, list.length - 1), code = deliveryOf(ids[0])?.short_code;
  const take = (one) => { ref.current.close(); give(ids, one.id); };
  const key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); at.value = Math.max(0, Math.min(list.length - 1, here + step)); }
    if (event.key === "Enter") { event.preventDefault(); if (list[here]) take(list[here]); }
  };
  useEffect(() => { document.getElementById(`to-${here}`)?.scrollIntoView({ block: "nearest" }); }, [here]);
  return html`<dialog class="assign" ref=${ref} onClose=${() => { assigning.value = null; }} aria-labelledby="assign-title">
    <h2 id="assign-title">${ids.length > 1 ? t("assign_many", { n: ids.length }) : t("assign_title", { code })}</h2><p class="soft">${t("assign_hint")}</p>
    <label class="field">${t("driver")}<input role="combobox" aria-expanded="true" aria-controls="to" aria-autocomplete="list" aria-activedescendant=${list.length ? `to-${here}` : undefined} autocomplete="off"
      value=${words} onInput=${(e) => { words.value = e.target.value; at.value = 0; }} onKeyDown=${key}/></label>
    <ul class="to" id="to" role="listbox" aria-label=${t("drivers")}>${list.map((one, n) => html`<li key=${one.id} id=${`to-${n}`} role="option" aria-selected=${n === here} onClick=${() => take(one)}>
      ${one.id ? html`<${DriverMark} state=${one.state}/><span><b>${one.name}</b><small>${about(one)}</small>${fits.value.has(one.id) && html`<small class="fit">${fitWords(fits.value.get(one.id))}</small>`}</span>` : html`<${Icon} name="search"/><span><b>${one.name}</b></span>`}</li>`)}</ul>
    ${!list.length && html`<p role="status">${t("nobody_so_called")}</p>`}
    <div class="actions"><button class="btn" onClick=${() => ref.current.close()}>${t("close")}</button></div></dialog>`;
}
export function Assigning() {
  return assigning.value && html`<${Assign} ids=${assigning.value} key=${assigning.value.join()}/>`;
}
effect(() => { if (tab.value !== "deliveries") untick(); });
