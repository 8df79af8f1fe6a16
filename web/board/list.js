// The list: what needs a hand first, with the reason; then what is under way; then what is done.
import { duration, range, time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { Empty, Icon, html } from "../shared/ui.js";
import { SEEKING, DONE, atRisk, board, colors, endedAt, filtered, filters, finishedOpen, focused, groups, held, late_s, link, numbers, selected, tabStop, waited_s } from "./state.js";

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
export function whyOpen(d) {
  if (!d.unassigned_reason) return d.reason;
  const { code, counts } = d.unassigned_reason, left = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  return t(`r_${code}`, { why: left.map(([why, n]) => `${n} ${t(`x_${why}`)}`).join(", "), n: counts.offers ?? 0, time: time(d.retry_at) });
}
function Row({ d, pick }) {
  const when = DONE.has(d.status) ? time(endedAt(d)) : d.eta ? range(d.eta.dropoff) : "";
  const reason = d.status === "pending" ? whyOpen(d) : DONE.has(d.status) && d.status !== "delivered" ? d.reason : null;
  return html`<li><button class="row" aria-current=${selected.value === d.id} data-id=${d.id} tabindex=${tabStop.value === d.id ? 0 : -1} onFocus=${() => { focused.value = d.id; }} onClick=${() => pick(d.id)}>
    <span class="bar" ref=${(e) => e && (e.style.background = colors.value[d.business_id])}></span>
    <span class="where">${d.dropoff.address}</span><${StatusBadge} d=${d}/>
    <span class="sub"><span class="code">${d.short_code}</span>${whoHasIt(d)}</span><span class="when num">${when}</span>
    ${reason && html`<span class="reason">${reason}</span>`}</button></li>`;
}
// Whoever waits is not late yet, but it is not calm either.
function Calm() {
  const waiting = numbers.value.unassigned;
  if (waiting) return html`<p class="calm">${t("still_seeking", { n: waiting })}</p>`;
  return html`<p class="calm"><${Icon} name="check"/>${t("all_calm")}</p>`;
}
function Group({ name, list, pick }) {
  const rows = html`<ul>${list.map((d) => html`<${Row} d=${d} pick=${pick} key=${d.id}/>`)}</ul>`;
  const head = html`<span>${t(name)}</span><span class="num">${list.length}</span>`;
  if (name === "finished") return html`<details class="group" open=${finishedOpen.value} onToggle=${(e) => { finishedOpen.value = e.target.open; }}><summary>${head}<${Icon} name="down"/></summary>${rows}</details>`;
  return html`<section class="group"><h2>${head}</h2>${list.length ? rows : html`<${Calm}/>`}</section>`;
}
function Rows({ pick }) {
  const state = link.state.value, clear = () => { for (const filter of Object.values(filters)) filter.value = ""; };
  if (state === "refused" || (!board.value && state === "ended")) {
    return html`<${Empty} title=${t("board_refused")} hint=${t("board_refused_hint")}><a class="btn main" href="/">${t("sign_in")}</a></${Empty}>`;
  }
  if (!board.value) {
    if (state === "lost" || state === "away" || !navigator.onLine) return html`<${Empty} title=${t("board_silent")} hint=${t("board_silent_hint")}/>`;
    return html`<div class="ghosts" role="status" aria-label=${t("loading")}>${[1, 2, 3, 4, 5].map((n) => html`<i key=${n}></i>`)}</div>`;
  }
  const lists = groups.value, total = lists.needs_attention.length + lists.in_progress.length + lists.finished.length;
  if (!board.value.deliveries.length) return html`<${Empty} title=${t("no_deliveries")} hint=${t("no_deliveries_hint")}/>`;
  if (!total) return html`<${Empty} title=${t("nothing_matches")} hint=${t("nothing_matches_hint")}><button class="btn" onClick=${clear}>${t("clear_filters")}</button></${Empty}>`;
  return Object.entries(lists).map(([name, list]) => (list.length || (name === "needs_attention" && !filtered.value)) && html`<${Group} name=${name} list=${list} pick=${pick} key=${name}/>`);
}
function Choice({ filter, label, options }) {
  return html`<select class="choice" aria-label=${label} value=${filter.value} onChange=${(e) => { filter.value = e.target.value; }}>
    <option value="">${label}</option>${options.map(([value, name]) => html`<option value=${value} key=${value}>${name}</option>`)}</select>`;
}
export function List({ pick }) {
  const { q, business, status } = filters, businesses = board.value?.businesses ?? [];
  const statuses = [...new Set([...(board.value?.deliveries ?? []).map((d) => d.status), ...(status.value ? [status.value] : [])])].sort();
  return html`<section class="list" aria-label=${t("deliveries")}>
    <div class="filters" role="search">
      <label class="find"><${Icon} name="search"/><span class="sr">${t("search")}</span>
        <input class="search" type="search" placeholder=${t("search")} value=${q.value} onInput=${(e) => { q.value = e.target.value; }}/><kbd aria-hidden="true">/</kbd></label>
      ${businesses.length > 1 && html`<${Choice} filter=${business} label=${t("all_businesses")} options=${businesses.map((b) => [b.id, b.name])}/>`}
      <${Choice} filter=${status} label=${t("all_statuses")} options=${statuses.map((s) => [s, t(`b_${s}`)])}/></div>
    <div class="rows" tabindex="-1" onPointerEnter=${() => { held.value = true; }} onPointerLeave=${() => { held.value = false; }}><${Rows} pick=${pick}/></div></section>`;
}
