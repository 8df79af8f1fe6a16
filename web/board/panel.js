// The panel: one delivery or one driver, with what happened and why.
import { useEffect, useRef } from "preact/hooks";
import { signal, useSignal } from "@preact/signals";
import { isSilent } from "../shared/map.js";
import { duration, money, range, since, time } from "../shared/format.js";
import { reasonWords, t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { DriverMark, Icon, Timeline, api, html, now } from "../shared/ui.js";
import { filters } from "./filters.js";
import { ask, relieve } from "./give.js";
import { Phones } from "./phones.js";
import { StatusBadge, reasonOf, whoHasIt } from "./list.js";
import { DONE, SEEKING, atRisk, board, colors, deliveryOf, driverOf, late_s, movable, pickedUp, positionOf, say, selected } from "./state.js";
import { Suggestions } from "./suggest.js";
import { Thread } from "./thread.js";
import { Why } from "./why.js";

// Before the pickup a delivery is canceled; with food aboard it can only be given up.
const DEFAULT = { fail: "driver_unreachable", cancel: "canceled_by_store" };
function CancelDialog({ d, close }) {
  const ref = useRef(null), wrong = useSignal(""), what = pickedUp(d) ? "fail" : "cancel";
  useEffect(() => ref.current.showModal(), []);
  const send = async (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim() || DEFAULT[what];
    try { await api(token, `${what === "fail" ? "/dispatch" : ""}/deliveries/${d.id}/${what}`, { method: "POST", body: { reason } }); close(); }
    catch (error) { wrong.value = error.message; say(error.message); }
  };
  return html`<dialog ref=${ref} onClose=${close} aria-labelledby="cancel-title"><form onSubmit=${send}>
    <h2 id="cancel-title">${t(`${what}_title`, { code: d.short_code })}</h2><p>${t(`${what}_hint`)}</p>
    <label class="field">${t("cancel_reason")}<input name="reason" maxlength="200" placeholder=${reasonWords(DEFAULT[what])}/></label>
    <p role="alert">${wrong}</p>
    <div class="actions"><button class="btn" type="button" onClick=${() => ref.current.close()}>${t("keep")}</button><button class="btn danger main">${t(what)}</button></div></form></dialog>`;
}
const cancelling = signal(null);

function Head({ title, children, pick }) {
  const ref = useRef(null);
  useEffect(() => ref.current.focus({ preventScroll: true }), []);
  return html`<header><div><h2 tabindex="-1" ref=${ref}>${title}</h2><p>${children}</p></div>
    <button class="btn icon quiet" aria-label=${t("close")} onClick=${() => pick(null)}><${Icon} name="close"/></button></header>`;
}
function Times({ d }) {
  const late = late_s(d), tone = late ? "bad" : atRisk(d) ? "warn" : "";
  const hint = late ? t("late_hint", { time: duration(Math.max(60, late)) }) : atRisk(d) && !SEEKING.has(d.status) ? t("at_risk_hint") : "";
  const told = late > 0 && d.delay_told_s ? t("delay_told", { time: duration(Math.max(60, d.delay_told_s)) }) : "";
  return html`<dl class="times"><div class=${tone}><dt>${t("arrives")}</dt><dd class="num">${d.eta ? range(d.eta.dropoff) : "–"}</dd></div>
    <div><dt>${t("promised")}</dt><dd class="num">${time(d.promised_at) || "–"}</dd></div></dl>${hint && html`<p class=${`hint ${tone}`}>${hint}${told && ` · ${told}`}</p>`}`;
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
      ${reasonOf(d) && html`<p class="reason">${reasonOf(d)}</p>`}
      ${d.pinned_driver_id && html`<p class="soft">${t("pinned_to", { name: driverOf(d.pinned_driver_id)?.name ?? t("a_pool_driver") })}</p>`}</div>
    <dl class="facts"><dt>${t("items")}</dt><dd>${d.items || "–"}</dd><dt>${t("fee")}</dt><dd class="num">${money(d.fee_minor, d.currency)}${d.attempts > 1 ? ` · ${t("attempts", { n: d.attempts })}` : ""}</dd></dl>
    <div class="actions"><a class="btn" href=${d.tracking_url} target="_blank" rel="noopener">${t("tracking_page")}<${Icon} name="away"/></a>
      ${d.status === "delivered" && html`<a class="btn" href=${`/trip/?delivery=${d.id}`}><${Icon} name="play"/>${t("tr_replay")}</a>`}
      ${movable(d) && html`<button class="btn" aria-keyshortcuts="a" onClick=${() => ask([d.id])}>${t("assign")}</button>`}
      ${mayCancel && html`<button class="btn danger" onClick=${() => { cancelling.value = d.id; }}>${t("cancel")}</button>`}
      ${mayFail && html`<button class="btn danger" onClick=${() => { cancelling.value = d.id; }}>${t("fail")}</button>`}</div>
    <${Thread} d=${d} key=${d.id}/>
    ${d.unassigned_reason?.code === "manual" && d.status === "pending" && !d.pinned_driver_id ? html`<${Suggestions} d=${d}/>` : html`<${Why} d=${d}/>`}
    <section><h3>${t("timeline")}</h3><${Timeline} steps=${d.timeline} prefix="h_"/></section>
    ${cancelling.value === d.id && html`<${CancelDialog} d=${d} close=${() => { cancelling.value = null; }}/>`}`;
}
function DriverPanel({ driver, pick }) {
  const at = now.value, position = positionOf(driver.id);
  const silent = isSilent({ position }, at), seen = position && since(position.t, at);
  const some = driver.delivery_ids.map(deliveryOf).some((d) => d && movable(d));
  return html`<${Head} title=${driver.name} pick=${pick}><${DriverMark} state=${driver.state} silent=${silent}/><span>${t(`d_${driver.state}`)}</span><span>${t(`v_${driver.vehicle}`)} · ${t(`pool_${driver.pool}`)}</span></${Head}>
    <p class=${silent ? "reason" : "soft"}>${seen ? t(silent ? "silent_hint" : "seen", { time: seen }) : t("never_seen")}</p>
    ${driver.move && html`<p class="card"><${Icon} name="away"/><span><b>${t("moves_to", { name: driver.move.name })}</b><small>${t("moves_why", { time: duration(driver.move.saves_s) })}</small></span></p>`}
    <section><h3>${t("carries")}</h3>${driver.delivery_ids.length ? html`<ul class="carried">${driver.delivery_ids.map(deliveryOf).filter(Boolean).map((d) => html`
      <li key=${d.id}><button class="card" onClick=${() => pick(d.id)}><span><b>${d.dropoff.address}</b><small>${d.short_code} · ${d.business_name}</small></span><${StatusBadge} d=${d}/></button></li>`)}</ul>` : html`<p class="soft">${t("nothing")}</p>`}
      <div class="actions">${some && html`<button class="btn" onClick=${() => relieve(driver)}>${t("relieve")}</button>`}
        ${driver.delivery_ids.length > 0 && html`<button class="btn" onClick=${() => { filters.driver.value = driver.id; }}>${t("only_his")}</button>`}</div></section>
    <${Phones} driver=${driver}/>`;
}
export function Panel({ pick }) {
  const id = selected.value, d = id && deliveryOf(id), driver = id && driverOf(id);
  if (!d && !driver) return null;
  return html`<aside class="panel" aria-label=${t("details")} key=${id}>${d ? html`<${DeliveryPanel} d=${d} pick=${pick}/>` : html`<${DriverPanel} driver=${driver} pick=${pick}/>`}</aside>`;
}
