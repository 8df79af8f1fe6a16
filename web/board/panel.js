// The panel: one delivery or one driver, with what happened and why.
import { useEffect, useRef } from "preact/hooks";
import { signal, useSignal } from "@preact/signals";
import { isSilent } from "../shared/map.js";
import { duration, money, range, since, time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { DriverMark, Icon, Timeline, api, html, now } from "../shared/ui.js";
import { StatusBadge, whoHasIt, whyOpen } from "./list.js";
import { DONE, SEEKING, atRisk, board, colors, deliveryOf, driverOf, late_s, link, pickedUp, said, selected } from "./state.js";

const decisions = signal({ of: null, data: [] });
async function loadDecisions(id) {
  const data = await api(token, `/dispatch/decisions/${id}`).then((answer) => answer.data, () => []);
  if (selected.value === id) decisions.value = { of: id, data };
}
const Pairs = ({ title, pairs }) => html`<h4>${title}</h4><ul class="pairs">${pairs.map(([name, value]) => html`<li key=${name}><span>${name}</span><span class="num">${value}</span></li>`)}</ul>`;
function Why({ d }) {
  useEffect(() => { loadDecisions(d.id); }, [d.id, d.status, d.attempts]);
  if (decisions.value.of !== d.id) return html`<p class="soft" role="status">${t("loading")}</p>`;
  const last = decisions.value.data[0];
  if (!last) return html`<p class="soft">${t("no_decision")}</p>`;
  const terms = Object.entries(last.terms).filter(([, cost]) => cost > 0), top = Math.max(1, ...terms.map(([, cost]) => cost));
  const sum = terms.reduce((all, [, cost]) => all + cost, 0), left = Object.entries(last.excluded).sort((a, b) => b[1] - a[1]);
  return html`<section><h3>${last.driver_id ? t("why_driver", { name: last.driver_name ?? "" }) : t("why_nobody")}</h3>
    ${terms.length > 0 && html`<p class="soft">${t("why_hint")}</p><ul class="terms">
      ${terms.map(([name, cost]) => html`<li key=${name}><span>${t(`t_${name}`)}</span><i><b ref=${(e) => e && (e.style.inlineSize = `${(100 * cost) / top}%`)}></b></i><span class="num">${cost}</span></li>`)}
      <li class="sum"><span>${t("total_cost")}</span><i></i><span class="num">${sum}</span></li></ul>`}
    ${last.runners_up.length > 0 && html`<${Pairs} title=${t("runners_up")} pairs=${last.runners_up.map((r) => [r.driver_name ?? driverOf(r.driver_id)?.name ?? t("a_pool_driver"), r.total])}/>`}
    ${left.length > 0 && html`<${Pairs} title=${t("left_out")} pairs=${left.map(([why, n]) => [t(`x_${why}`), n])}/>`}</section>`;
}

// Before the pickup a delivery is canceled; with food aboard it can only be given up.
function CancelDialog({ d, close }) {
  const ref = useRef(null), wrong = useSignal(""), what = pickedUp(d) ? "fail" : "cancel";
  useEffect(() => ref.current.showModal(), []);
  const send = async (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim() || t(`${what}_reason_default`);
    try { await api(token, `${what === "fail" ? "/dispatch" : ""}/deliveries/${d.id}/${what}`, { method: "POST", body: { reason } }); close(); }
    catch (error) { wrong.value = said.value = error.message; }
  };
  return html`<dialog ref=${ref} onClose=${close} aria-labelledby="cancel-title"><form onSubmit=${send}>
    <h2 id="cancel-title">${t(`${what}_title`, { code: d.short_code })}</h2><p>${t(`${what}_hint`)}</p>
    <label class="field">${t("cancel_reason")}<input name="reason" maxlength="200" placeholder=${t(`${what}_reason_default`)}/></label>
    <p role="alert">${wrong}</p>
    <div class="actions"><button class="btn" type="button" onClick=${() => ref.current.close()}>${t("keep")}</button><button class="btn danger main">${t(what)}</button></div></form></dialog>`;
}
const cancelling = signal(null), assigning = signal(null);

// A dispatcher's word: to this driver, or back to the engine. What was before is one button away for a while.
const UNDO_MS = 10_000;
const undo = signal(null);
let undoTimer = 0;
async function reassign(d, driver_id, words) {
  const answer = await api(token, `/dispatch/deliveries/${d.id}/reassign`, { method: "POST", body: { driver_id } });
  said.value = words;
  clearTimeout(undoTimer);
  undo.value = { words, back: () => reassign(d, answer.previous_driver_id, t("undone")).catch((error) => { said.value = error.message; }) };
  undoTimer = setTimeout(() => { undo.value = null; }, UNDO_MS);
}
// All of a driver's work that is not in his hands yet, at once; whatever could not be moved is told.
async function relieve(driver) {
  const mine = driver.delivery_ids.map(deliveryOf).filter((d) => d && !pickedUp(d));
  const { data } = await api(token, "/dispatch/deliveries/reassign", { method: "POST", body: { items: mine.map((d) => ({ delivery_id: d.id })) } });
  const wrong = data.filter((one) => !one.ok);
  said.value = wrong.length ? t("moved_partly", { n: wrong.length, why: wrong[0].detail }) : t("moved_all", { name: driver.name });
  clearTimeout(undoTimer);
  undo.value = { words: said.value, back: () => api(token, "/dispatch/deliveries/reassign", { method: "POST", body: { items: mine.map((d) => ({ delivery_id: d.id, driver_id: driver.id })) } }).catch((error) => { said.value = error.message; }) };
  undoTimer = setTimeout(() => { undo.value = null; }, UNDO_MS);
}
export function Undo() {
  const last = undo.value;
  if (!last) return null;
  return html`<p class="undo">${last.words}<button class="btn" onClick=${() => { undo.value = null; last.back(); }}>${t("undo")}</button></p>`;
}
const RANK = { available: 0, busy: 1 };
function AssignDialog({ d, close }) {
  const ref = useRef(null), wrong = useSignal("");
  useEffect(() => ref.current.showModal(), []);
  const drivers = board.value.drivers.filter((one) => one.state in RANK && one.id !== d.driver_id)
    .sort((a, b) => RANK[a.state] - RANK[b.state] || a.name.localeCompare(b.name));
  const send = async (event) => {
    event.preventDefault();
    const id = new FormData(event.target).get("driver") || null;
    const words = id ? t("given_to", { code: d.short_code, name: driverOf(id)?.name ?? "" }) : t("given_back", { code: d.short_code });
    try { await reassign(d, id, words); close(); } catch (error) { wrong.value = said.value = error.message; }
  };
  return html`<dialog ref=${ref} onClose=${close} aria-labelledby="assign-title"><form onSubmit=${send}>
    <h2 id="assign-title">${t("assign_title", { code: d.short_code })}</h2><p>${t("assign_hint")}</p>
    <label class="field">${t("driver")}<select name="driver"><option value="">${t("engine_chooses")}</option>
      ${drivers.map((one) => html`<option value=${one.id} key=${one.id}>${one.name} · ${t(`d_${one.state}`)} · ${t(`v_${one.vehicle}`)}${one.delivery_ids.length ? ` · ${one.delivery_ids.length}` : ""}</option>`)}</select></label>
    <p role="alert">${wrong}</p>
    <div class="actions"><button class="btn" type="button" onClick=${() => ref.current.close()}>${t("close")}</button><button class="btn main">${t("assign")}</button></div></form></dialog>`;
}

function Head({ title, children, pick }) {
  const ref = useRef(null);
  useEffect(() => ref.current.focus({ preventScroll: true }), []);
  return html`<header><div><h2 tabindex="-1" ref=${ref}>${title}</h2><p>${children}</p></div>
    <button class="btn icon quiet" aria-label=${t("close")} onClick=${() => pick(null)}><${Icon} name="close"/></button></header>`;
}
function Times({ d }) {
  const late = late_s(d), tone = late ? "bad" : atRisk(d) ? "warn" : "";
  const hint = late ? t("late_hint", { time: duration(Math.max(60, late)) }) : atRisk(d) ? t("at_risk_hint") : "";
  return html`<dl class="times"><div class=${tone}><dt>${t("arrives")}</dt><dd class="num">${d.eta ? range(d.eta.dropoff) : "–"}</dd></div>
    <div><dt>${t("promised")}</dt><dd class="num">${time(d.promised_at) || "–"}</dd></div></dl>${hint && html`<p class=${`hint ${tone}`}>${hint}</p>`}`;
}
function DeliveryPanel({ d, pick }) {
  const driver = d.driver_id && driverOf(d.driver_id), open = !DONE.has(d.status);
  const mayFail = open && pickedUp(d) && d.status !== "returning";
  const mayCancel = board.value.scope.kind === "business" && open && !pickedUp(d);
  const silent = driver && isSilent(driver, now.value);
  return html`<${Head} title=${d.dropoff.address} pick=${pick}><span class="code">${d.short_code}</span><${StatusBadge} d=${d}/><span>${d.business_name}</span></${Head}>
    ${open && html`<${Times} d=${d}/>`}
    <ol class="stops" ref=${(e) => e?.style.setProperty("--shop", colors.value[d.business_id])}>
      <li data-kind="pickup"><span>${d.pickup.name}</span><small>${d.pickup.address}${d.pickup.ready_at ? ` · ${t("ready", { time: time(d.pickup.ready_at) })}` : ""}</small></li>
      <li data-kind="dropoff"><span>${d.dropoff.name}</span><small>${d.dropoff.address}</small></li></ol>
    <div class="driver">${driver
      ? html`<button class="card" onClick=${() => pick(driver.id)}><${DriverMark} state=${driver.state} silent=${silent}/><span><b>${driver.name}</b><small>${t(`v_${driver.vehicle}`)} · ${t(`pool_${driver.pool}`)}</small></span></button>`
      : html`<p class="card"><${DriverMark} state="offline"/><span><b>${d.driver_name ?? t("driver_none")}</b><small>${SEEKING.has(d.status) ? whoHasIt(d) : ""}</small></span></p>`}
      ${whyOpen(d) && html`<p class="reason">${whyOpen(d)}</p>`}
      ${d.pinned_driver_id && html`<p class="soft">${t("pinned_to", { name: driverOf(d.pinned_driver_id)?.name ?? t("a_pool_driver") })}</p>`}</div>
    <dl class="facts"><dt>${t("items")}</dt><dd>${d.items || "–"}</dd><dt>${t("fee")}</dt><dd class="num">${money(d.fee_minor, d.currency)}${d.attempts > 1 ? ` · ${t("attempts", { n: d.attempts })}` : ""}</dd></dl>
    <div class="actions"><a class="btn" href=${d.tracking_url} target="_blank" rel="noopener">${t("tracking_page")}<${Icon} name="away"/></a>
      ${open && !pickedUp(d) && html`<button class="btn" onClick=${() => { assigning.value = d.id; }}>${t("assign")}</button>`}
      ${mayCancel && html`<button class="btn danger" onClick=${() => { cancelling.value = d.id; }}>${t("cancel")}</button>`}
      ${mayFail && html`<button class="btn danger" onClick=${() => { cancelling.value = d.id; }}>${t("fail")}</button>`}</div>
    <${Why} d=${d}/>
    <section><h3>${t("timeline")}</h3><${Timeline} steps=${d.timeline} prefix="h_"/></section>
    ${assigning.value === d.id && html`<${AssignDialog} d=${d} close=${() => { assigning.value = null; }}/>`}
    ${cancelling.value === d.id && html`<${CancelDialog} d=${d} close=${() => { cancelling.value = null; }}/>`}`;
}
function DriverPanel({ driver, pick }) {
  const position = link.view.value.drivers.find((one) => one.id === driver.id)?.position;
  const silent = isSilent({ position }, now.value), seen = position && since(position.t, now.value);
  const movable = driver.delivery_ids.map(deliveryOf).some((d) => d && !pickedUp(d));
  return html`<${Head} title=${driver.name} pick=${pick}><${DriverMark} state=${driver.state} silent=${silent}/><span>${t(`d_${driver.state}`)}</span><span>${t(`v_${driver.vehicle}`)} · ${t(`pool_${driver.pool}`)}</span></${Head}>
    <p class=${silent ? "reason" : "soft"}>${seen ? t(silent ? "silent_hint" : "seen", { time: seen }) : t("never_seen")}</p>
    <section><h3>${t("carries")}</h3>${driver.delivery_ids.length ? html`<ul class="carried">${driver.delivery_ids.map(deliveryOf).filter(Boolean).map((d) => html`
      <li key=${d.id}><button class="card" onClick=${() => pick(d.id)}><span><b>${d.dropoff.address}</b><small>${d.short_code} · ${d.business_name}</small></span><${StatusBadge} d=${d}/></button></li>`)}</ul>` : html`<p class="soft">${t("nothing")}</p>`}
      ${movable && html`<div class="actions"><button class="btn" onClick=${() => relieve(driver).catch((error) => { said.value = error.message; })}>${t("relieve")}</button></div>`}</section>`;
}
export function Panel({ pick }) {
  const id = selected.value, d = id && deliveryOf(id), driver = id && driverOf(id);
  if (!d && !driver) return null;
  return html`<aside class="panel" aria-label=${t("details")} key=${id}>${d ? html`<${DeliveryPanel} d=${d} pick=${pick}/>` : html`<${DriverPanel} driver=${driver} pick=${pick}/>`}</aside>`;
}
