// Paused zones: drawn corner by corner on the map, or as a circle around a store; each with a reason and an end.
import { useEffect, useRef } from "preact/hooks";
import { effect, signal } from "@preact/signals";
import { count, meters } from "../shared/format.js";
import { polygon } from "../shared/ground.js";
import { makeMap } from "../shared/map.js";
import { locale, t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Empty, Field, Icon, api, html } from "../shared/ui.js";
import { colorOf, instant, isAdmin, nameOf, said, stores, wordsOf } from "./state.js";

const CORNERS_MIN = 3, CIRCLE_CORNERS = 24, RADII_M = [300, 500, 1000, 2000, 5000], METERS_PER_DEGREE = 111_195, DRAFT = "#c2410c";
const when = new Intl.DateTimeFormat(locale, { weekday: "short", hour: "numeric", minute: "2-digit" });
const pauses = signal(null), corners = signal([]), changing = signal(null), shown = signal(null), failed = signal(""), wrong = signal({}), radius = signal(500);

async function load() {
  failed.value = "";
  try { pauses.value = (await api(token, "/dispatch/zones/pauses")).data; } catch (error) { failed.value = error.message; }
}
const area = () => polygon(corners.value);
const outline = ({ type, coordinates }) => (type === "Polygon" ? coordinates[0] : coordinates[0][0]).map(([lng, lat]) => ({ lat, lng }));
function around({ lat, lng }, radius_m) {
  return Array.from({ length: CIRCLE_CORNERS }, (_, n) => {
    const turn = (2 * Math.PI * n) / CIRCLE_CORNERS, north = radius_m / METERS_PER_DEGREE;
    return { lat: lat + north * Math.sin(turn), lng: lng + (north * Math.cos(turn)) / Math.cos((lat * Math.PI) / 180) };
  });
}
function clear() { corners.value = []; changing.value = null; wrong.value = {}; }
const resume = async (pause) => {
  try {
    await api(token, `/dispatch/zones/pauses/${pause.id}`, { method: "DELETE" });
    said.value = t("ru_resumed");
    await load();
  } catch (error) { wrong.value = { [pause.id]: wordsOf(error.problem) || error.message }; }
};
async function save(event) {
  event.preventDefault();
  const form = event.target, fields = new FormData(form), until = instant(fields.get("until"));
  try {
    await api(token, "/dispatch/zones/pauses", { method: "POST", body: { area: area(), reason: fields.get("reason").trim(), ...(until && { until }) } });
    if (changing.value) await api(token, `/dispatch/zones/pauses/${changing.value.id}`, { method: "DELETE" });
    form.reset();
    clear();
    said.value = t("ru_paused");
    await load();
  } catch (error) {
    const first = error.problem?.errors?.[0];
    wrong.value = { [first ? first.field.replace(/^\$?\.?/, "") : "area"]: wordsOf(error.problem) || error.message };
  }
}
function change(pause) {
  changing.value = pause;
  corners.value = outline(pause.area).slice(0, -1);
  wrong.value = {};
  requestAnimationFrame(() => document.getElementById("field-reason").focus());
}
function drawOn(map) {
  let framed = false;
  const quiet = effect(() => {
    const points = corners.value, others = (pauses.value ?? []).filter((one) => one !== changing.value);
    map.shapes([...others.map((one) => one.area), ...(points.length >= CORNERS_MIN ? [area()] : [])]);
    map.line(points.length === 2 ? points : []);
    map.places([...stores.value.map((one) => ({ ...one, kind: "store", color: colorOf(one.business_id) })), ...(points.length < CIRCLE_CORNERS ? points : []).map((point, n) => ({ id: String(n), kind: "door", name: "", color: DRAFT, ...point }))]);
    if (!framed && stores.value.length) { framed = true; map.open(stores.value, 60); }
  });
  const look = effect(() => { if (shown.value) map.fit(outline(shown.value.area)); });
  return () => { quiet(); look(); };
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {}, gone = false;
    const onTap = (point) => { corners.value = [...corners.value, point]; };
    makeMap(ref.current, { onTap, fallback: t("ru_zone_no_map") }).then((map) => {
      if (!map) return;
      if (gone) { map.remove(); return; }
      const quiet = drawOn(map);
      stop = () => { quiet(); map.remove(); };
    });
    return () => { gone = true; stop(); };
  }, []);
  return html`<div class="map" role="region" aria-label=${t("ru_zone_map")}><div ref=${ref}></div></div>`;
}
function Draft() {
  const n = corners.value.length, store = useRef(null);
  const circle = () => { const one = stores.value.find((each) => each.id === store.current.value); if (one) { corners.value = around(one, radius.value); shown.value = { area: area() }; } };
  return html`<form class="draft" onSubmit=${save} aria-label=${t("ru_pause_zone")}><h2>${t(changing.value ? "ru_change_zone" : "ru_pause_zone")}</h2>
    <p class="soft">${t("ru_draw_hint")}</p>
    <p class="corners"><b class="num" role="status">${t("ru_corners", { n: count(n) })}</b><button type="button" class="btn" disabled=${!n} onClick=${() => { corners.value = corners.value.slice(0, -1); }}>${t("ru_corner_back")}</button><button type="button" class="btn quiet" disabled=${!n} onClick=${clear}>${t("ru_clear")}</button></p>
    ${stores.value.length > 0 && html`<div class="circle"><label class="field">${t("ru_around")}<select class="choice" ref=${store}>${stores.value.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>
      <label class="field">${t("ru_radius")}<select class="choice" value=${String(radius.value)} onChange=${(event) => { radius.value = Number(event.target.value); }}>${RADII_M.map((m) => html`<option key=${m} value=${String(m)}>${meters(m)}</option>`)}</select></label>
      <button type="button" class="btn" onClick=${circle}>${t("ru_circle")}</button></div>`}
    ${wrong.value.area && html`<p class="wrong" role="alert">${wrong.value.area}</p>`}
    <${Field} key=${changing.value?.id} name="reason" label=${t("ru_reason")} maxlength="200" required defaultValue=${changing.value?.reason} wrong=${wrong.value.reason}/>
    <${Field} name="until" type="datetime-local" label=${t("ru_until_resume")} wrong=${wrong.value.until}/>
    <button class="btn main" disabled=${n < CORNERS_MIN}>${t(changing.value ? "ru_change" : "ru_pause")}</button></form>`;
}
function Listed() {
  if (failed.value) return html`<${Empty} title=${t("ru_failed")} hint=${failed.value}><button class="btn" onClick=${load}>${t("ru_again")}</button></${Empty}>`;
  if (!pauses.value) return html`<div class="ghosts" role="status" aria-label=${t("loading")}><i></i></div>`;
  if (!pauses.value.length) return html`<p class="calm"><${Icon} name="check"/>${t("ru_no_pauses")}</p>`;
  return html`<ul class="cards">${pauses.value.map((one) => html`<li key=${one.id}><span><b>${one.reason}</b><small>${one.business_id ? nameOf(one.business_id) : t("ru_everybody")} · ${one.until ? t("ru_until", { time: when.format(new Date(one.until)) }) : t("ru_for_good")}</small></span>
    <span class="do"><button class="btn" onClick=${() => { shown.value = { area: one.area }; }}>${t("ru_show")}</button>
      ${(isAdmin.value || one.business_id) && html`<button class="btn" onClick=${() => change(one)}>${t("ru_change")}</button><button class="btn" onClick=${() => resume(one)}>${t("ru_resume")}</button>`}</span>
    ${wrong.value[one.id] && html`<small class="more wrong" role="alert">${wrong.value[one.id]}</small>`}</li>`)}</ul>`;
}
export function Zones() {
  useEffect(() => { load(); return clear; }, []);
  return html`<div class="intro"><p>${t("ru_zones_hint")}</p></div><div class="split"><div class="side"><${Draft}/><section><h2>${t("ru_paused_now")}</h2><${Listed}/></section></div><${MapArea}/></div>`;
}
