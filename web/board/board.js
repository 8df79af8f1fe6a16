// The dispatch board: what needs a hand first, the map in step with the list, and why each driver was chosen.
import { useEffect, useRef } from "preact/hooks";
import { html, render, signal, now, api, LinkState, ThemeSwitch, Timeline } from "../shared/ui.js";
import { computed, effect } from "@preact/signals";
import { watch } from "../shared/live.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { time, range, money, duration, since } from "../shared/format.js";

const DONE = new Set(["delivered", "canceled", "failed", "returned"]);
const SEEKING = new Set(["pending", "offered"]);
const BADGE = { pending: "bad", offered: "warn", delivered: "ok", canceled: "", failed: "bad", returned: "" };
const ATTENTION_AFTER_S = 60;

// The token comes in the fragment, which never reaches a server, and then lives in this tab only.
if (location.hash.length > 1) {
  sessionStorage.setItem("token", decodeURIComponent(location.hash.slice(1)));
  history.replaceState(null, "", location.pathname + location.search);
}
const token = sessionStorage.getItem("token");
if (!token) location.replace("/");

const query = new URLSearchParams(location.search);
const search = signal(query.get("q") ?? ""), business = signal(query.get("business") ?? ""), status = signal(query.get("status") ?? "");
const selected = signal(null), said = signal("");
effect(() => {
  const kept = new URLSearchParams();
  if (search.value) kept.set("q", search.value);
  if (business.value) kept.set("business", business.value);
  if (status.value) kept.set("status", status.value);
  history.replaceState(null, "", location.pathname + (kept.size ? `?${kept}` : ""));
});

const link = watch(token, (frame, view) => {
  if (frame.type !== "delta") return;
  for (const c of frame.changes) if (c.kind === "delivery" && view) said.value = `${c.short_code}: ${t("b_" + c.status)}`;
});
const view = link.view;
effect(() => { if (link.state.value === "refused") { sessionStorage.removeItem("token"); } });

const isLate = (d) => !DONE.has(d.status) && Date.parse(d.eta?.dropoff.p50 ?? new Date(now.value).toISOString()) > Date.parse(d.promised_at);
const waited = (d) => (now.value - Date.parse(d.created_at)) / 1000;
const needsHand = (d) => (d.status === "pending" && (d.reason || waited(d) > ATTENTION_AFTER_S)) || isLate(d);
const colorOf = computed(() => Object.fromEntries((view.value?.businesses ?? []).map((b) => [b.id, b.color])));
const nameOf = computed(() => Object.fromEntries((view.value?.drivers ?? []).map((d) => [d.id, d.name])));

const matching = computed(() => {
  const text = search.value.trim().toLowerCase();
  return (view.value?.deliveries ?? []).filter((d) => (!business.value || d.business_id === business.value) && (!status.value || d.status === status.value)
    && (!text || [d.short_code, d.dropoff.name, d.dropoff.address, d.pickup.name, d.driver_name, d.items].some((v) => v?.toLowerCase().includes(text))));
});
const groups = computed(() => {
  const open = matching.value.filter((d) => !DONE.has(d.status));
  const oldFirst = (a, b) => a.created_at.localeCompare(b.created_at);
  return [
    ["needs_attention", open.filter(needsHand).sort(oldFirst)],
    ["in_progress", open.filter((d) => !needsHand(d)).sort(oldFirst)],
    ["finished", matching.value.filter((d) => DONE.has(d.status)).sort((a, b) => oldFirst(b, a))],
  ];
});

function Stats() {
  const all = view.value?.deliveries ?? [], open = all.filter((d) => !DONE.has(d.status)), delivered = all.filter((d) => d.status === "delivered");
  const judged = [...open, ...delivered];
  const late = open.filter(isLate).length + delivered.filter((d) => Date.parse(d.timeline.at(-1)?.at) > Date.parse(d.promised_at)).length;
  const drivers = view.value?.drivers ?? [], by = (state) => drivers.filter((d) => d.state === state).length;
  const unassigned = open.filter((d) => SEEKING.has(d.status)).length;
  const Stat = ({ n, text, bad }) => html`<div class=${"stat" + (bad ? " bad" : "")}><b>${n}</b><span>${text}</span></div>`;
  return html`<div class="stats">
    <${Stat} n=${open.length} text=${t("open")}/><${Stat} n=${unassigned} text=${t("unassigned")}/>
    <${Stat} n=${judged.length ? Math.round(100 * (judged.length - late) / judged.length) + " %" : "–"} text=${t("in_time")} bad=${late > 0.1 * judged.length}/>
    <${Stat} n=${delivered.length} text=${t("delivered_today")}/>
    <${Stat} n=${by("available")} text=${t("d_available")}/><${Stat} n=${by("busy")} text=${t("d_busy")}/></div>`;
}

function subline(d) {
  if (d.status === "offered" && d.offer) return t("offered_to", { name: d.offer.driver_name ?? t("a_pool_driver") });
  if (d.status === "pending") return d.reason || t("waiting", { time: duration(waited(d)) });
  if (DONE.has(d.status)) return `${time(d.timeline.at(-1)?.at)} · ${d.driver_name ?? d.reason ?? ""}`;
  return `${d.driver_name ?? ""}${d.eta ? " · " + t("eta", { range: range(d.eta.dropoff) }) : ""}`;
}
function Row({ d }) {
  return html`<button class="row" aria-current=${selected.value === d.id} data-id=${d.id} onClick=${() => pick(d.id)}>
    <span class="bar" ref=${(e) => e && (e.style.background = colorOf.value[d.business_id])}></span>
    <span class="who"><span class="code">${d.short_code}</span>${d.dropoff.address}</span>
    <span class=${"badge " + (isLate(d) ? "bad" : BADGE[d.status] ?? "busy")}>${isLate(d) && !SEEKING.has(d.status) ? t("late") + " · " : ""}${t("b_" + d.status)}</span>
    <span class="sub">${subline(d)}</span></button>`;
}
function List() {
  if (!view.value) return html`<div class="empty" role="status">${t(link.state.value === "refused" ? "refused" : "loading", { why: link.why.value })}</div>`;
  if (!view.value.deliveries.length) return html`<div class="empty"><strong>${t("no_deliveries")}</strong>${t("no_deliveries_hint")}</div>`;
  if (!matching.value.length) return html`<div class="empty"><strong>${t("nothing_matches")}</strong>${t("nothing_matches_hint")}</div>`;
  return groups.value.map(([name, rows]) => rows.length || name === "needs_attention" ? html`<section class="group" key=${name}>
    <h2><span>${t(name)}</span><span class="num">${rows.length}</span></h2>
    ${rows.length ? rows.map((d) => html`<${Row} d=${d} key=${d.id}/>`) : html`<p class="calm">${t("all_calm")}</p>`}</section>` : null);
}
function Filters() {
  const statuses = [...new Set((view.value?.deliveries ?? []).map((d) => d.status))].sort();
  const businesses = view.value?.businesses ?? [];
  return html`<div class="filters">
    <input class="search" type="search" aria-label=${t("search")} placeholder=${t("search") + "   ( / )"} value=${search.value} onInput=${(e) => { search.value = e.target.value; }}/>
    <select aria-label=${t("all_businesses")} value=${business.value} onChange=${(e) => { business.value = e.target.value; }}><option value="">${t("all_businesses")}</option>${businesses.map((b) => html`<option value=${b.id}>${b.name}</option>`)}</select>
    <select aria-label=${t("all_statuses")} value=${status.value} onChange=${(e) => { status.value = e.target.value; }}><option value="">${t("all_statuses")}</option>${statuses.map((s) => html`<option value=${s}>${t("b_" + s)}</option>`)}</select></div>`;
}

const decisions = signal({ of: null, data: null });
async function loadDecisions(id, version) {
  try { decisions.value = { of: id, version, data: (await api(token, `/dispatch/decisions/${id}`)).data }; }
  catch { decisions.value = { of: id, version, data: [] }; }
}
function Why({ d }) {
  useEffect(() => { loadDecisions(d.id, d.version); }, [d.id, d.version]);
  if (decisions.value.of !== d.id) return html`<p class="calm">${t("loading")}</p>`;
  const [last] = decisions.value.data;
  if (!last) return html`<p class="calm">${t("no_decision")}</p>`;
  const top = Math.max(1, ...Object.values(last.terms));
  return html`<section><h3>${t(last.driver_id ? "why_driver" : "why_nobody")} ${last.driver_name ?? ""}</h3>
    <div class="terms">${Object.entries(last.terms).filter(([, v]) => v > 0).map(([name, v]) => html`<div><span>${t("t_" + name)}</span><meter min="0" max=${top} value=${v} aria-label=${t("t_" + name)}></meter><span class="num">${v}</span></div>`)}</div>
    ${last.runners_up.length ? html`<h3>${t("runners_up")}</h3><ul class="others">${last.runners_up.map((r) => html`<li><span>${r.driver_name ?? nameOf.value[r.driver_id] ?? t("a_pool_driver")}</span><span class="num">${r.total}</span></li>`)}</ul>` : null}
    ${Object.keys(last.excluded).length ? html`<h3>${t("left_out")}</h3><ul class="others">${Object.entries(last.excluded).map(([why, n]) => html`<li><span>${t("x_" + why)}</span><span class="num">${n}</span></li>`)}</ul>` : null}</section>`;
}
async function cancel(d) {
  if (!confirm(t("cancel_sure", { code: d.short_code }))) return;
  try { await api(token, `/deliveries/${d.id}/cancel`, { method: "POST", body: { reason: "Canceled on the board" } }); }
  catch (error) { said.value = error.message; alert(error.message); }
}
function Panel() {
  const id = selected.value;
  const d = view.value?.deliveries.find((x) => x.id === id), driver = view.value?.drivers.find((x) => x.id === id);
  const ref = useRef(null);
  useEffect(() => { ref.current?.focus({ preventScroll: true }); }, [id]);
  const head = (title, badge) => html`<header><div><h2 tabindex="-1" ref=${ref}>${title}</h2>${badge}</div><button class="btn icon" aria-label=${t("close")} onClick=${() => pick(null)}>✕</button></header>`;
  if (d) return html`<aside class="panel" aria-label=${d.short_code}>
    ${head(d.short_code, html`<span class=${"badge " + (BADGE[d.status] ?? "busy")}>${t("b_" + d.status)}</span> <small>${d.business_name}</small>`)}
    <dl><dt>${t("pickup")}</dt><dd>${d.pickup.name}<small>${d.pickup.address} · ${time(d.pickup.ready_at)}</small></dd>
      <dt>${t("dropoff")}</dt><dd>${d.dropoff.name}<small>${d.dropoff.address}</small><small>${t("promised", { time: time(d.promised_at) })}${d.eta ? " · " + t("eta", { range: range(d.eta.dropoff) }) : ""}</small></dd>
      <dt>${t("driver")}</dt><dd>${d.driver_id ? html`<button class="linkish" onClick=${() => pick(d.driver_id)}>${d.driver_name}</button>` : d.reason || (d.offer ? subline(d) : "–")}${d.attempts > 1 ? html`<small>${t("attempts", { n: d.attempts })}</small>` : null}</dd>
      <dt>${t("items")}</dt><dd>${d.items || "–"}<small>${money(d.fee_minor, d.currency)}</small></dd></dl>
    <div class="actions"><a class="btn" href=${d.tracking_url} target="_blank" rel="noopener">${t("tracking_page")} ↗</a>
      ${view.value.scope.kind === "business" && !DONE.has(d.status) && !d.timeline.some((s) => s.status === "picked_up") ? html`<button class="btn danger" onClick=${() => cancel(d)}>${t("cancel")}</button>` : null}</div>
    <${Why} d=${d} key=${d.id}/>
    <section><h3>${t("timeline")}</h3><${Timeline} steps=${d.timeline} prefix="s_"/></section></aside>`;
  if (driver) return html`<aside class="panel" aria-label=${driver.name}>
    ${head(driver.name, html`<span class=${"badge " + (driver.state === "available" ? "ok" : driver.state === "busy" ? "busy" : "")}>${t("d_" + driver.state)}</span> <small>${t("v_" + driver.vehicle)} · ${t("pool_" + driver.pool)}</small>`)}
    <dl><dt>${t("carries")}</dt><dd>${driver.delivery_ids.length ? driver.delivery_ids.map((x) => { const c = view.value.deliveries.find((y) => y.id === x); return html`<button class="linkish" onClick=${() => pick(x)}>${c ? c.short_code + " · " + c.dropoff.address : x}</button> `; }) : t("nothing")}</dd>
      <dt>GPS</dt><dd>${driver.position ? t("seen", { time: since(driver.position.t, now.value) }) : t("never_seen")}</dd></dl></aside>`;
  return null;
}

let map = null;
function pick(id) {
  selected.value = id;
  if (!id || !map) return;
  const points = pointsOf(id);
  if (points.length > 1) map.fit(points, 90);
}
function pointsOf(id) {
  const d = view.value?.deliveries.find((x) => x.id === id) ?? view.value?.deliveries.find((x) => x.driver_id === id && !DONE.has(x.status));
  if (!d) return [];
  const at = view.value.drivers.find((x) => x.id === d.driver_id)?.position;
  const after = d.timeline.some((s) => s.status === "picked_up");
  return [...(at && !DONE.has(d.status) ? [at] : []), ...(after && at ? [] : [d.pickup]), d.dropoff];
}
function MapBox() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current, { onPick: pick }).then((made) => {
      if (!made) return;
      map = made;
      let framed = false;
      stop = effect(() => {
        const v = view.value, chosen = selected.value;
        if (!v) return;
        if (!framed && v.bounds) { framed = true; map.fit([{ lng: v.bounds[0], lat: v.bounds[1] }, { lng: v.bounds[2], lat: v.bounds[3] }]); }
        map.drivers(v.drivers.map((d) => ({ ...d, selected: d.id === chosen || v.deliveries.find((x) => x.id === chosen)?.driver_id === d.id })));
        map.places([...v.stores.map((s) => ({ id: s.id, kind: "store", name: s.name, lat: s.lat, lng: s.lng, color: colorOf.value[s.business_id] })),
          ...v.deliveries.filter((d) => !DONE.has(d.status) || d.id === chosen).map((d) => ({ id: d.id, kind: "door", name: d.dropoff.address, lat: d.dropoff.lat, lng: d.dropoff.lng, color: colorOf.value[d.business_id], selected: d.id === chosen }))]);
        map.line(chosen ? pointsOf(chosen) : []);
      });
    });
    return () => stop();
  }, []);
  return html`<div class="map" role="region" aria-label=${t("map_label")}><div ref=${ref}></div>
    <div class="legend" aria-hidden="true"><b><i>●</i>${t("d_available")}</b><b><i>▲</i>${t("d_busy")}</b><b><i>■</i>${t("d_on_break")}</b></div></div>`;
}

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing) { event.preventDefault(); document.querySelector(".search").focus(); return; }
  if (event.key === "Escape") { if (typing) event.target.blur(); else pick(null); return; }
  if (typing || !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return;
  const rows = [...document.querySelectorAll(".row")];
  const at = rows.findIndex((row) => row === document.activeElement || (document.activeElement === document.body && row.dataset.id === selected.value));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + (["j", "ArrowDown"].includes(event.key) ? 1 : -1)))];
  if (next) { event.preventDefault(); next.focus(); next.scrollIntoView({ block: "nearest" }); }
});

function Board() {
  return html`<div class="board">
    <header class="top"><h1><img src="/web/shared/icon.svg" alt=""/><span>${view.value?.scope.name ?? "onward"}</span></h1><${Stats}/><${LinkState} link=${link}/><${ThemeSwitch}/></header>
    <nav class="list" aria-label=${t("open")}><${Filters}/><div class="rows"><${List}/></div></nav>
    <main class="map-area"><${MapBox}/></main>
    <${Panel}/>
    <div class="sr" role="status" aria-live="polite">${said.value}</div></div>`;
}
render(html`<${Board}/>`, document.getElementById("app"));
