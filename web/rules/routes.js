// Routes planned ahead: a day, who drives from when to when, the proposal on map and list, and its commitment.
import { useEffect, useRef } from "preact/hooks";
import { computed, effect, signal } from "@preact/signals";
import { count, duration, meters, percent, time } from "../shared/format.js";
import { askLines } from "../shared/lines.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Empty, Icon, api, html } from "../shared/ui.js";
import { instant, said, wordsOf } from "./state.js";

const COLORS = ["#0f766e", "#b45309", "#1d4ed8", "#a21caf", "#15803d", "#be123c", "#6d28d9", "#0369a1", "#854d0e", "#475569"];
const VEHICLES = ["bicycle", "scooter", "car", "foot"], LIMIT_S = 8, HOURS_USUAL = ["09:00", "17:00"];
const colorAt = (n) => COLORS[n % COLORS.length];
const local = (at) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString();
const day = signal(local(new Date()).slice(0, 10)), could = signal(null), failed = signal("");
const without = signal(new Set()), hands = signal(new Set()), unnamed = signal({ vehicle: "car", n: 0 }), hours = signal(HOURS_USUAL), home = signal(""), fewest = signal(false);
const progress = signal(null), plan = signal(null), wrong = signal(""), lit = signal(null), named = signal({}), results = signal(null), committing = signal(false);
const chosen = computed(() => (could.value?.deliveries ?? []).filter((one) => !without.value.has(one.id)));

async function load() {
  failed.value = "";
  could.value = plan.value = results.value = null;
  without.value = new Set();
  try { could.value = await api(token, `/dispatch/routes/plannable?date=${day.value}`); } catch (error) { failed.value = error.message; }
}
function toggle(set, id) {
  const next = new Set(set.value);
  if (!next.delete(id)) next.add(id);
  set.value = next;
}
// Hours that end before they begin end the next day.
function span() {
  const [on, off] = hours.value.map((clock) => new Date(`${day.value}T${clock}`));
  if (off <= on) off.setDate(off.getDate() + 1);
  return { on_at: instant(on), off_at: instant(off) };
}
async function make(event) {
  event.preventDefault();
  wrong.value = "";
  plan.value = results.value = null;
  named.value = {};
  progress.value = { share: 0, planned: 0 };
  const place = home.value === "" ? null : could.value.stores[Number(home.value)], at = place && { lat: place.lat, lng: place.lng };
  const where = { ...span(), ...(at && { start: at, end: at }) };
  const drivers = [...[...hands.value].map((driver_id) => ({ driver_id, ...where })), ...(unnamed.value.n > 0 ? [{ vehicle: unnamed.value.vehicle, count: unnamed.value.n, ...where }] : [])];
  try {
    const body = { drivers, delivery_ids: chosen.value.map((one) => one.id), limit_s: LIMIT_S, fewest_drivers: fewest.value };
    for await (const line of askLines(token, "/dispatch/routes/plan", body)) {
      if (line.progress) progress.value = line.progress;
      if (line.result) plan.value = line.result;
    }
  } catch (problem) { wrong.value = wordsOf(problem) || t("no_network"); }
  progress.value = null;
}
async function commit() {
  committing.value = true;
  wrong.value = "";
  try {
    const drivers = Object.entries(named.value).filter(([, driver_id]) => driver_id).map(([route, driver_id]) => ({ route: Number(route), driver_id }));
    const { data } = await api(token, `/dispatch/routes/plan/${plan.value.id}/commit`, { method: "POST", body: { drivers } });
    results.value = new Map(data.map((one) => [one.delivery_id, one]));
    said.value = t("ro_committed", { n: data.filter((one) => one.ok).length, all: data.length });
  } catch (error) { wrong.value = error.problem ? wordsOf(error.problem) : error.message; }
  committing.value = false;
}
function Ask() {
  const { deliveries, drivers, stores } = could.value, hour = (n) => (event) => { hours.value = hours.value.map((one, at) => (at === n ? event.target.value : one)); };
  const ready = chosen.value.length > 0 && (hands.value.size > 0 || unnamed.value.n > 0);
  return html`<form class="draft" onSubmit=${make} aria-label=${t("ru_t_routes")}>
    <details class="pickable" open=${deliveries.length <= 12}><summary>${t("ro_chosen", { n: chosen.value.length, all: deliveries.length })}<${Icon} name="down"/></summary>
      <ul>${deliveries.map((one) => html`<li key=${one.id}><label><input type="checkbox" checked=${!without.value.has(one.id)} onChange=${() => toggle(without, one.id)}/><span><b>${one.address}</b><small>${one.short_code} · ${one.pickup} · ${t("ro_window", { from: time(one.dropoff_from ?? one.ready_at), until: time(one.promised_at) })}</small></span></label></li>`)}</ul></details>
    <fieldset><legend>${t("drivers")}</legend><ul class="hands">${drivers.map((one) => html`<li key=${one.id}><label><input type="checkbox" checked=${hands.value.has(one.id)} onChange=${() => toggle(hands, one.id)}/><span><b>${one.name}</b><small>${t(`v_${one.vehicle}`)} · ${t(`pool_${one.pool}`)}</small></span></label></li>`)}</ul>
      <div class="circle"><label class="field">${t("ro_unnamed")}<input class="choice" type="number" min="0" max="50" value=${unnamed.value.n} onInput=${(event) => { unnamed.value = { ...unnamed.value, n: Number(event.target.value) }; }}/></label>
        <label class="field">${t("ro_vehicle")}<select class="choice" value=${unnamed.value.vehicle} onChange=${(event) => { unnamed.value = { ...unnamed.value, vehicle: event.target.value }; }}>${VEHICLES.map((one) => html`<option key=${one} value=${one}>${t(`v_${one}`)}</option>`)}</select></label></div></fieldset>
    <div class="circle"><label class="field">${t("ro_from")}<input class="choice" type="time" required value=${hours.value[0]} onInput=${hour(0)}/></label><label class="field">${t("ro_to")}<input class="choice" type="time" required value=${hours.value[1]} onInput=${hour(1)}/></label>
      <label class="field">${t("ro_home")}<select class="choice" value=${home.value} onChange=${(event) => { home.value = event.target.value; }}><option value="">${t("ro_anywhere")}</option>${stores.map((one, n) => html`<option key=${n} value=${String(n)}>${one.name}</option>`)}</select></label></div>
    <label class="check"><input type="checkbox" checked=${fewest.value} onChange=${(event) => { fewest.value = event.target.checked; }}/>${t("ro_fewest")}</label>
    <button class="btn main" disabled=${!ready || Boolean(progress.value)}>${t("ro_plan")}</button>${!ready && html`<small class="soft">${t("ro_choose_hint")}</small>`}</form>`;
}
function Way({ route, n }) {
  const open = results.value === null, pick = (event) => { named.value = { ...named.value, [n]: event.target.value }; };
  const able = could.value.drivers.filter((one) => one.vehicle === route.vehicle && !plan.value.routes.some((other) => other.driver_id === one.id));
  const result = (id) => results.value?.get(id);
  return html`<section class="way" onPointerEnter=${() => { lit.value = n; }} onPointerLeave=${() => { lit.value = null; }}><h3><i ref=${(e) => e && (e.style.background = colorAt(n))}></i><span>${route.driver_name ?? t("ro_nobody", { vehicle: t(`v_${route.vehicle}`) })}</span></h3>
    <p class="soft num">${t("ro_span", { from: time(route.start_at), until: time(route.end_at) })} · ${meters(route.distance_m)}${route.wait_s >= 60 ? ` · ${t("ro_waits", { time: duration(route.wait_s) })}` : ""}${route.late_s >= 60 ? html` · <b class="wrong">${t("late_by", { time: duration(route.late_s) })}</b>` : ""}</p>
    ${!route.driver_id && open && html`<label class="field">${t("ro_name_one")}<select class="choice" value=${named.value[n] ?? ""} onChange=${pick}><option value="">${t("ro_nobody_yet")}</option>${able.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>`}
    <ol>${route.stops.map((stop, at) => {
      const told = stop.kind === "dropoff" && result(stop.delivery_id);
      return html`<li key=${stop.kind + stop.delivery_id} data-kind=${stop.kind}><time class="num">${time(stop.at)}</time><span><b>${stop.kind === "pickup" ? stop.name : stop.address}</b><small>${t(stop.kind)} · ${stop.short_code}${stop.late_s >= 60 ? ` · ${t("late_by", { time: duration(stop.late_s) })}` : ""}</small>
        ${told && html`<small class=${told.ok ? "fine" : "wrong"}>${told.ok ? html`<${Icon} name="check"/>${t("ro_kept")}` : told.detail}</small>`}</span></li>`;
    })}</ol></section>`;
}
function drawOn(map) {
  let framed = null;
  return effect(() => {
    const routes = plan.value?.routes ?? [], waiting = could.value?.deliveries ?? [], one = lit.value;
    const doors = plan.value ? routes.flatMap((route, n) => route.stops.filter((stop) => stop.kind === "dropoff").map((stop) => ({ ...stop, id: stop.delivery_id, kind: "door", name: time(stop.at), color: colorAt(n), lit: one === n })))
      : waiting.map((each) => ({ id: each.id, kind: "door", name: "", lat: each.lat, lng: each.lng, color: without.value.has(each.id) ? "#8b8f96" : COLORS[0] }));
    map.places([...doors, ...(could.value?.stores ?? []).map((each, n) => ({ ...each, id: `store${n}`, kind: "store", color: "#555c66" }))]);
    map.ways(routes.map((route, n) => ({ color: colorAt(n), points: [route.start, ...route.stops, route.end].filter(Boolean) })).filter((_, n) => one === null || one === n));
    const of = plan.value ?? could.value;
    if (framed !== of && doors.length) { framed = of; map.fit([...doors, ...(could.value?.stores ?? [])], 50, 0); }
  });
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {}, gone = false;
    makeMap(ref.current).then((map) => {
      if (!map) return;
      if (gone) { map.remove(); return; }
      const quiet = drawOn(map);
      stop = () => { quiet(); map.remove(); };
    });
    return () => { gone = true; stop(); };
  }, []);
  return html`<div class="map" role="region" aria-label=${t("ro_map")}><div ref=${ref}></div></div>`;
}
const whyLeft = ({ code, counts }) => t(code === "others_first" ? "ro_full" : `r_${code}`, { why: Object.entries(counts).map(([why, n]) => `${n} ${t(`x_${why}`)}`).join(", "), n: counts.offers ?? 0, time: "" });
function Proposal() {
  const { planned, late, drive_s, distance_m, routes, unplanned, travel_down } = plan.value, kept = results.value && [...results.value.values()].filter((one) => one.ok).length;
  return html`<div class="proposal"><header><h2>${t("ro_found", { n: planned, routes: count(routes.length) })}</h2><p class="soft">${late ? t("ro_late", { n: late }) : t("ro_all_in_time")} · ${t("ro_driving", { time: duration(drive_s), way: meters(distance_m) })}</p>
      ${travel_down && html`<p class="soft">${t("ro_straight")}</p>`}
      ${results.value ? html`<p class="fine"><${Icon} name="check"/>${t("ro_committed", { n: kept, all: results.value.size })}</p><button class="btn" onClick=${load}>${t("ro_anew")}</button>`
      : routes.length > 0 && html`<button class="btn main" disabled=${committing.value} onClick=${commit}>${t("ro_commit")}</button><small class="soft">${t("ro_commit_hint")}</small>`}</header>
    <div class="ways">${routes.map((route, n) => html`<${Way} key=${n} route=${route} n=${n}/>`)}
    ${unplanned.length > 0 && html`<section class="way"><h3><i class="none"></i><span>${t("ro_unplanned", { n: unplanned.length })}</span></h3><ol>${unplanned.map((one) => html`<li key=${one.delivery_id}><span class="code">${one.short_code}</span><span><b>${one.address}</b><small>${whyLeft(one.reason)}</small></span></li>`)}</ol></section>`}</div></div>`;
}
export function Routes() {
  useEffect(() => { load(); }, [day.value]);
  const inside = failed.value ? html`<${Empty} title=${t("ru_failed")} hint=${failed.value}><button class="btn" onClick=${load}>${t("ru_again")}</button></${Empty}>`
    : !could.value ? html`<div class="ghosts" role="status" aria-label=${t("loading")}><i></i><i></i></div>`
    : !could.value.deliveries.length && !plan.value ? html`<${Empty} title=${t("ro_nothing")} hint=${t("ro_nothing_hint")}/>`
    : html`<div class="split"><div class="side"><${Ask}/></div><div class="answer"><p class="wrong" role="alert">${wrong.value}</p>
      ${progress.value && html`<div class="playing" role="status"><label>${t("ro_planning", { n: progress.value.planned })}<progress max="1" value=${progress.value.share}></progress></label><span class="num">${percent(progress.value.share)}</span></div>`}
      <${MapArea}/>${plan.value && html`<${Proposal}/>`}</div></div>`;
  return html`<div class="intro"><p>${t("ro_hint")}</p><label class="field">${t("wi_day")}<input class="choice" type="date" required value=${day.value} onChange=${(event) => { if (event.target.value) day.value = event.target.value; }}/></label></div>${inside}`;
}
