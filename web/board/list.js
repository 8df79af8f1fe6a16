// The lists: who has no driver, who may be late, what is under way, what is done; each the most urgent first, with the reason.
import { useComputed } from "@preact/signals";
import { duration, range, time } from "../shared/format.js";
import { reasonWords, t } from "../shared/messages.js";
import { Empty, Icon, html } from "../shared/ui.js";
import { pressed } from "./drag.js";
import { Drivers } from "./drivers.js";
import { FilterBar } from "./filterbar.js";
import { active, clearFilters } from "./filters.js";
import { Bulk, isTicked, tick } from "./give.js";
import { SEEKING, DONE, atRisk, board, colors, endedAt, finishedOpen, focused, groups, held, late_s, link, matchingDrivers, movable, pointed, selected, tab, tabStop, waited_s, withVanished } from "./state.js";

const TONES = { pending: "bad", offered: "warn", delivered: "ok", failed: "bad" };
export function StatusBadge({ d }) {
  const late = !DONE.has(d.status) && late_s(d);
  if (late && !SEEKING.has(d.status)) return html`<span class="badge bad">${t("late_by", { time: duration(Math.max(60, late)) })}</span>`;
  if (atRisk(d) && !SEEKING.has(d.status)) return html`<span class="badge warn">${t(`b_${d.status}`)} · ${t("at_risk")}</span>`;
  return html`<span class=${`badge ${TONES[d.status] ?? (DONE.has(d.status) ? "" : "busy")}`}>${t(`b_${d.status}`)}</span>`;
}
export function whoHasIt(d) {
  if (d.status === "offered") return t("offered_to", { name: d.offer?.driver_name ?? t("a_pool_driver") });
  if (d.status === "pending" && d.planned_at) return t("planned", { time: time(d.planned_at) });
  if (d.status === "pending") return t("waiting", { time: duration(waited_s(d)) });
  return d.driver_name ?? "";
}
// Why nobody has it, in the reader's words: the code, and who can't for which reason, most first.
function whyOpen(d) {
  if (!d.unassigned_reason) return reasonWords(d.reason);
  const { code, counts } = d.unassigned_reason, left = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  return t(`r_${code}`, { why: left.map(([why, n]) => `${n} ${t(`x_${why}`)}`).join(", "), n: counts.offers ?? 0, time: time(d.retry_at) });
}
// Why it stands where it stands: what is in its way, and what that does to the promise.
export function reasonOf(d) {
  if (DONE.has(d.status)) return d.status === "delivered" ? "" : reasonWords(d.reason);
  const risk = atRisk(d) && t(withVanished.value.has(d.id) ? "r_vanished" : `r_${d.risk.code}`, { time: time(d.promised_at) });
  return [d.status === "pending" && !d.planned_at && whyOpen(d), risk].filter(Boolean).join(" · ");
}
function Row({ d, pick }) {
  const here = useComputed(() => String(selected.value === d.id)), stop = useComputed(() => (tabStop.value === d.id ? 0 : -1)), on = useComputed(() => isTicked(d.id));
  const when = DONE.has(d.status) ? time(endedAt(d)) : d.eta ? range(d.eta.dropoff) : "", why = reasonOf(d);
  const click = (event) => { if (movable(d) && (event.shiftKey || event.ctrlKey || event.metaKey)) tick(d.id, { range: event.shiftKey }); else pick(d.id); };
  return html`<li class="item" data-item=${d.id} onPointerEnter=${() => { pointed.value = d.id; }} onPointerLeave=${() => { pointed.value = null; }}>
    <button class="row" aria-current=${here} data-id=${d.id} tabindex=${stop} onFocus=${() => { focused.value = pointed.value = d.id; }} onClick=${click} onPointerDown=${(e) => pressed(e, d.id)}>
      <span class="bar" ref=${(e) => e && (e.style.background = colors.value[d.business_id])}></span>
      <span class="where">${d.dropoff.address}</span><${StatusBadge} d=${d}/>
      <span class="sub"><span class="code">${d.short_code}</span>${whoHasIt(d)}</span><span class="when num">${when}</span>
      ${why && html`<span class="reason">${why}</span>`}</button>
    ${movable(d) && html`<label class="tick"><input type="checkbox" tabindex="-1" aria-label=${t("tick", { code: d.short_code })} checked=${on} onClick=${(e) => tick(d.id, { range: e.shiftKey })}/></label>`}</li>`;
}
function Group({ name, list, pick }) {
  const rows = html`<ul>${list.map((d) => html`<${Row} d=${d} pick=${pick} key=${d.id}/>`)}</ul>`;
  const head = html`<span>${t(name)}</span><span class="num">${list.length}</span>`;
  if (name === "finished") return html`<details class="group" open=${finishedOpen.value} onToggle=${(e) => { finishedOpen.value = e.target.open; }}><summary>${head}<${Icon} name="down"/></summary>${finishedOpen.value && rows}</details>`;
  return html`<section class="group" data-group=${name}><h2>${head}</h2>${rows}</section>`;
}
function Rows({ pick }) {
  const state = link.state.value;
  if (state === "refused" || (!board.value && state === "ended")) {
    return html`<${Empty} title=${t("board_refused")} hint=${t("board_refused_hint")}><a class="btn main" href="/">${t("sign_in")}</a></${Empty}>`;
  }
  if (!board.value) {
    if (state === "lost" || state === "away" || !navigator.onLine) return html`<${Empty} title=${t("board_silent")} hint=${t("board_silent_hint")}/>`;
    return html`<div class="ghosts" role="status" aria-label=${t("loading")}>${[1, 2, 3, 4, 5].map((n) => html`<i key=${n}></i>`)}</div>`;
  }
  const lists = groups.value, total = Object.values(lists).reduce((sum, list) => sum + list.length, 0);
  if (!board.value.deliveries.length) return html`<${Empty} title=${t("no_deliveries")} hint=${t("no_deliveries_hint")}/>`;
  if (!total) return html`<${Empty} title=${t("nothing_matches")} hint=${t("nothing_matches_hint", { n: board.value.deliveries.length })}><button class="btn" onClick=${clearFilters}>${t("clear_filters")} <kbd>C</kbd></button></${Empty}>`;
  const calm = !lists.waiting_list.length && !lists.late_risk.length && !active.value.length;
  return html`${calm && html`<p class="calm"><${Icon} name="check"/>${t("all_calm")}</p>`}
    ${Object.entries(lists).map(([name, list]) => list.length > 0 && html`<${Group} name=${name} list=${list} pick=${pick} key=${name}/>`)}`;
}
const Tab = ({ name, n }) => html`<button role="tab" id=${`tab-${name}`} aria-controls="listed" aria-selected=${tab.value === name} tabindex=${tab.value === name ? 0 : -1} onClick=${() => { tab.value = name; }}>${t(name)} <span class="num">${n}</span></button>`;
const TABS = ["deliveries", "drivers"];
function turn(event) {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  event.preventDefault();
  tab.value = TABS[1 - TABS.indexOf(tab.value)];
  document.getElementById(`tab-${tab.value}`).focus();
}
export function List({ pick }) {
  return html`<section class="list" aria-label=${t("deliveries")}>
    <${FilterBar}/>
    <div class="tabs" role="tablist" aria-label=${t("lists")} onKeyDown=${turn}><${Tab} name="deliveries" n=${Object.values(groups.value).reduce((sum, list) => sum + list.length, 0)}/><${Tab} name="drivers" n=${matchingDrivers.value.length}/></div>
    <div class="listed" id="listed" role="tabpanel" aria-labelledby=${`tab-${tab.value}`}>${tab.value === "drivers" ? html`<${Drivers} pick=${pick}/>` : html`
      <div class="rows" tabindex="-1" onPointerEnter=${() => { held.value = true; }} onPointerLeave=${() => { held.value = false; }}><${Rows} pick=${pick}/></div>`}</div>
    <${Bulk}/></section>`;
}
