// A past delivery played again: the way it took on the map, coloured by speed, its stops beside, and a clock to go through it.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { duration, exactly, meters, speed, time } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { Empty, Icon, ThemeSwitch, html, render } from "../shared/ui.js";
import { Chart } from "./chart.js";
import { COLORS, parts as bands } from "./replay.js";
import { ALL, PACES, at, choose, current, end, ends, events, failure, gaps, load, pace, part, partOf, parts, path, place, playing, save, seek, start, toggle, trip } from "./state.js";

const STEP_MS = 10_000, LONG_STEP_MS = 60_000, SHOP = "#0f766e";
const titleOf = (one) => one.name || t(one.kind === "gap" ? "tr_gap" : "tr_pause_here");

function drawOn(map, box) {
  const stops = [
    effect(() => { if (box.isConnected) map.fit(path.value.map(([, lat, lng]) => ({ lat, lng })), 60, 0); }),
    effect(() => {
      map.track(bands(path.value, gaps.value, ends.value));
      map.places(events.value.filter((one) => one.kind !== "gap").map((one) => ({ id: one.id, kind: one.kind === "pickup" ? "store" : "door", name: titleOf(one), lat: one.lat, lng: one.lng, color: partOf(one.delivery_id)?.color ?? SHOP, selected: one.kind === "dropoff", lit: one.id === current.value })));
    }),
    effect(() => {
      const now = place.value;
      if (now) map.drivers([{ id: "driver", state: "busy", position: { lat: now.lat, lng: now.lng, heading: now.heading, t: Date.now() }, dim: now.phase === "gap" }], true);
    }),
  ];
  return () => stops.forEach((stop) => stop());
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    const onPick = (id) => { const one = events.value.find((event) => event.id === id); if (one) seek(one.from); };
    makeMap(ref.current, { onPick, fallback: t("tr_no_map") }).then((map) => { if (map) { const quiet = drawOn(map, ref.current); stop = () => { quiet(); map.remove(); }; } });
    return () => stop();
  }, []);
  return html`<div class="map" role="region" aria-label=${t("tr_map", { distance: meters(trip.value.distance_m), from: time(start.value), to: time(end.value) })}><div ref=${ref}></div><${Key}/></div>`;
}
function Key() {
  const [last, upper] = [ends.value.length, ends.value.at(-1)];
  return html`<figure class="speeds"><figcaption>${t("tr_speed_key")}</figcaption><ul>${COLORS.map((color, n) => html`<li key=${color}><i ref=${(e) => e && (e.style.background = color)}></i>
    <span class="num">${n < last ? t("tr_upto", { speed: speed(ends.value[n]) }) : t("tr_over", { speed: speed(upper) })}</span></li>`)}</ul></figure>`;
}
function Controls() {
  const now = place.value, phase = now.phase, moment = `${exactly(at.value)}, ${t(`tr_now_${phase}`)}`;
  return html`<div class="controls"><button class="btn main icon" aria-label=${t(playing.value ? "tr_pause" : "tr_play")} aria-keyshortcuts="Space" onClick=${toggle}><${Icon} name=${playing.value ? "pause" : "play"}/></button>
    <input type="range" min=${start.value} max=${end.value} step="1000" value=${at.value} aria-label=${t("tr_where")} aria-valuetext=${moment} onInput=${(event) => seek(Number(event.target.value))}/>
    <output class="moment"><b class="num">${exactly(at.value)}</b><span class="num">${phase === "moving" ? speed(now.speed) : t(`tr_now_${phase}`)}</span></output>
    <label class="pace"><span class="sr">${t("tr_pace")}</span><select class="choice num" value=${pace.value} onChange=${(event) => { pace.value = Number(event.target.value); }}>${PACES.map((n) => html`<option key=${n} value=${n} aria-label=${t("tr_times", { n })}>${n}×</option>`)}</select></label></div>
    <p class="soft keys">${t("tr_keys")}</p>`;
}
function Figures() {
  const all = trip.value, some = [
    ["distance", meters(all.distance_m)], ["duration", duration(all.duration_s)], ["moving", duration(all.moving_s)], ["standing", duration(all.standing_s)],
    ...(all.unseen_s ? [["unseen", duration(all.unseen_s)]] : []), ["mean", speed(all.speed_mean_mps)], ["max", speed(all.speed_max_mps)],
  ];
  return html`<section aria-label=${t("tr_figures")}><dl class="figures">${some.map(([name, text]) => html`<div key=${name}><dt>${t(`tr_${name}`)}</dt><dd class="num">${text}</dd></div>`)}</dl></section>`;
}
// What was carried at the same time: one of them, or all.
function Parts() {
  if (!parts.value.length) return null;
  const Part = ({ id, color, text }) => html`<button class="btn" aria-pressed=${part.value === id} onClick=${() => choose(id)}>${color && html`<i ref=${(e) => e && (e.style.background = color)}></i>`}${text}</button>`;
  return html`<div class="parts" role="group" aria-label=${t("tr_parts")}><${Part} id=${ALL} text=${t("tr_whole", { n: parts.value.length })}/>${parts.value.map((one) => html`<${Part} key=${one.id} ...${one} text=${one.short_code}/>`)}</div>`;
}
function Whose({ id }) {
  const one = part.value === ALL && partOf(id);
  return one ? html` <span class="badge"><i ref=${(e) => e && (e.style.background = one.color)}></i>${one.short_code}</span>` : null;
}
function Stops() {
  return html`<section><h2>${t("tr_stops")}</h2><ol class="events">${events.value.map((one) => html`<li key=${one.id} data-kind=${one.kind}>
    <button aria-current=${one.id === current.value ? "true" : undefined} disabled=${!path.value.length} onClick=${() => seek(one.from)}><i aria-hidden="true"></i>
      <span><b>${titleOf(one)}</b><${Whose} id=${one.delivery_id}/><small>${one.kind === "pickup" || one.kind === "dropoff" ? `${t(`tr_${one.kind}`)} · ` : ""}${one.kind === "gap" ? t("tr_gap_hint", { distance: meters(one.distance_m) }) : t("tr_stayed", { time: duration(one.dwell_s) })}</small></span>
      <time class="num" datetime=${new Date(one.from).toISOString()}>${time(one.from)}</time></button></li>`)}</ol></section>`;
}
function Save() {
  return html`<div class="actions">${["gpx", "geojson"].map((form) => html`<button class="btn" key=${form} onClick=${() => save(form)}>${t("tr_export", { form: form === "gpx" ? "GPX" : "GeoJSON" })}</button>`)}</div>`;
}
function Content() {
  if (failure.value?.kind === "none") return html`<${Empty} as="main" title=${t("tr_no_delivery")} hint=${t("tr_no_delivery_hint")}><a class="btn" href="/board/">${t("wi_board")}</a></${Empty}>`;
  if (failure.value) return html`<${Empty} as="main" title=${t("tr_failed")} hint=${failure.value.words}><a class="btn" href=${failure.value.signedOut ? "/" : "/board/"}>${t(failure.value.signedOut ? "sign_in" : "wi_board")}</a></${Empty}>`;
  if (!trip.value) return html`<main class="ghosts" aria-busy="true" aria-label=${t("loading")}><i></i><i></i><i></i></main>`;
  if (!path.value.length) return html`<main class="nothing"><${Empty} title=${t("tr_empty")} hint=${t("tr_empty_hint")}/>${events.value.length > 0 && html`<${Stops}/>`}</main>`;
  return html`<main class="trip"><${MapArea}/><div class="player"><${Controls}/><${Chart}/></div><aside><${Figures}/><${Stops}/><${Save}/></aside><p class="sr" role="status">${t(`tr_now_${place.value.phase}`)}</p></main>`;
}
addEventListener("keydown", (event) => {
  if (!path.value.length || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, .maplibregl-canvas")) return;
  const step = event.shiftKey ? LONG_STEP_MS : STEP_MS;
  if (event.key === " " && !event.target.matches("button, a, summary")) toggle();
  else if (event.key === "ArrowLeft") seek(at.value - step);
  else if (event.key === "ArrowRight") seek(at.value + step);
  else return;
  event.preventDefault();
});
function Page() {
  const all = trip.value, code = all?.deliveries.map((one) => one.short_code).join(", ") ?? "", title = t("tr_title", { code });
  useEffect(() => { load(); }, []);
  useEffect(() => { document.title = `${title} · onward`; }, [title]);
  return html`<header><div class="top"><a class="btn quiet" href="/board/"><img src="/web/shared/icon.svg" alt=""/><span>${t("wi_board")}</span></a><h1>${title}${all && html` <small>${[all.driver_name, all.vehicle && t(`v_${all.vehicle}`)].filter(Boolean).join(" · ")}</small>`}</h1><${ThemeSwitch}/></div><${Parts}/></header><${Content}/>`;
}
render(html`<${Page}/>`, document.getElementById("app"));
