// What if: a past day played twice through the dispatcher, as it is and as it could be, beside what really happened.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { count, percent } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { locale, t } from "../shared/messages.js";
import { Empty, Icon, ThemeSwitch, html, render } from "../shared/ui.js";
import { Chart } from "./charts.js";
import { Businesses, Figures, minutes } from "./figures.js";
import { Places } from "./places.js";
import { DRIVERS_MAX, SLIDERS, business, businesses, day, days, driver, drivers, failure, found, load, play, pool, progress, same, several, stack, weighed, weights, wrong } from "./state.js";

const IN_TIME = "#15803d", LATE = "#c2410c", NEVER = "#7f1d1d";
const written = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "long", timeZone: "UTC" });
const name = (date) => written.format(new Date(`${date}T12:00:00Z`));

function Choice({ label, of, hint, children }) {
  return html`<label class="field">${label}<select class="choice" value=${of.value} onChange=${(event) => { of.value = event.target.value; }}>${children}</select>${hint && html`<small>${hint}</small>`}</label>`;
}
function Drivers() {
  const step = (by) => { drivers.value = Math.max(-DRIVERS_MAX, Math.min(DRIVERS_MAX, drivers.value + by)); };
  const n = drivers.value;
  return html`<fieldset class="stepper"><legend>${t("drivers")}</legend>
    <button type="button" class="btn icon" aria-label=${t("wi_one_fewer")} onClick=${() => step(-1)}><${Icon} name="minus"/></button>
    <output class="num" aria-live="polite">${n === 0 ? t("wi_as_it_is") : n > 0 ? t("wi_more", { n }) : t("wi_fewer", { n: -n })}</output>
    <button type="button" class="btn icon" aria-label=${t("wi_one_more")} onClick=${() => step(1)}><${Icon} name="plus"/></button>
    <small>${t("wi_drivers_hint")}</small></fieldset>`;
}
function Slider({ weight, max, step }) {
  const as = weights.value[weight], value = weighed.value[weight] ?? as;
  const set = (event) => {
    const rest = { ...weighed.value }, next = Number(event.target.value);
    delete rest[weight];
    weighed.value = next === as ? rest : { ...rest, [weight]: next };
  };
  return html`<label class="field slider"><span>${t(`wi_w_${weight}`)}<b class="num">${value === as ? t("wi_as_it_is") : as ? percent(value / as) : count(value)}</b></span>
    <input type="range" min="0" max=${max} step=${step} value=${value} onInput=${set} aria-valuetext=${value === as ? t("wi_as_it_is") : percent(value / as)}/><small>${t(`wi_w_${weight}_hint`)}</small></label>`;
}
function Ask() {
  return html`<form class="ask" onSubmit=${play} aria-label=${t("wi_title")}>
    <${Choice} label=${t("wi_day")} of=${day}>${days.value.map((one) => html`<option key=${one.date} value=${one.date}>${name(one.date)} · ${t("wi_n_deliveries", { n: one.deliveries })}</option>`)}</${Choice}>
    ${businesses.value.length > 1 && html`<${Choice} label=${t("wi_whose")} of=${business}><option value="">${t("all_businesses")}</option>${businesses.value.map((one) => html`<option key=${one.business_id} value=${one.business_id}>${one.name}</option>`)}</${Choice}>`}
    <${Drivers}/>
    <${Choice} label=${t("wi_stack")} of=${stack} hint=${t("wi_stack_hint")}><option value="">${t("wi_as_it_is")}</option>${[1, 2, 3].map((n) => html`<option key=${n} value=${n}>${count(n)}</option>`)}</${Choice}>
    <${Choice} label=${t("wi_pool")} of=${pool}><option value="">${t("wi_as_it_is")}</option><option value="yes">${t("wi_pool_yes")}</option><option value="no">${t("wi_pool_no")}</option></${Choice}>
    <${Choice} label=${t("ru_p_several_stores")} of=${several} hint=${t("wi_several_hint")}><option value="">${t("wi_as_it_is")}</option><option value="yes">${t("ru_yes")}</option><option value="no">${t("ru_no")}</option></${Choice}>
    <details><summary>${t("wi_weights")}<${Icon} name="down"/></summary>${SLIDERS.map(([weight, max, step]) => html`<${Slider} key=${weight} weight=${weight} max=${max} step=${step}/>`)}</details>
    <button class="btn main" disabled=${Boolean(progress.value)}>${t("wi_play")}</button>
    ${same.value && html`<small class="soft">${t("wi_nothing_changed")}</small>`}
    <p class="wrong" role="alert">${wrong.value}</p></form>`;
}
function Progress() {
  if (!progress.value) return null;
  const { phase, share } = progress.value, done = (phase === "alternative" ? 0.5 : 0) + share / 2;
  return html`<div class="playing" role="status"><label>${t(`wi_playing_${phase}`)}<progress max="1" value=${done}></progress></label><span class="num">${percent(done)}</span></div>`;
}
function Headline() {
  const { baseline, alternative, date, change } = found.value;
  const gap = (alternative.service.click_to_door_mean_s ?? 0) - (baseline.service.click_to_door_mean_s ?? 0), late = alternative.service.late - baseline.service.late;
  const what = change.drivers === 0 ? "" : change.drivers > 0 ? t("wi_more", { n: change.drivers }) : t("wi_fewer", { n: -change.drivers });
  return html`<header class="headline"><h2 tabindex="-1">${name(date)}${what && ` · ${what}`}</h2>
    <p>${t(gap > 0 ? "wi_slower" : gap < 0 ? "wi_faster" : "wi_as_fast", { time: minutes(Math.abs(gap)) })} ${late === 0 ? t("wi_as_late") : t(late > 0 ? "wi_more_late" : "wi_fewer_late", { n: Math.abs(late) })}</p></header>`;
}
// How near the day played as it is came to the real one: whether the difference can be built on.
function Model() {
  const { check, left_out } = found.value, left = Object.entries(left_out).map(([why, n]) => t(`wi_left_${why}`, { n }));
  const gap = check.click_to_door_s, ways = check.distance_share ?? 0;
  const words = gap === null ? [t("wi_check_none")] : [
    t(gap > 0 ? "wi_check_slower" : "wi_check_faster", { time: minutes(Math.abs(gap)), share: percent(Math.abs(check.click_to_door_share)) }),
    t(ways > 0 ? "wi_check_longer" : "wi_check_shorter", { share: percent(Math.abs(ways)) }),
    t("wi_check_each", { time: minutes(check.door_off_s), share: percent(check.same_driver) }), t(check.near ? "wi_check_near" : "wi_check_far")];
  return html`<p class="model" data-near=${check.near}><${Icon} name=${check.near ? "check" : "alert"}/><span><b>${t("wi_check")}</b> ${[...words, ...left].join(" ")}</span></p>`;
}
function drawOn(map, box) {
  return effect(() => {
    const all = found.value;
    if (!all) return;
    const path = all.paths.find((one) => one.driver_id === driver.value), way = (points) => points.map(([lat, lng]) => ({ lat, lng }));
    map.places(all.doors.map((one, n) => ({ id: String(n), kind: "door", name: "", lat: one.lat, lng: one.lng,
      color: one.alternative_late_s === null ? NEVER : one.alternative_late_s > 0 ? LATE : IN_TIME })));
    map.line(path ? way(path.alternative) : [], path ? way(path.baseline) : []);
    if (box.isConnected) map.fit(all.doors, 40, 0);
  });
}
function MapArea() {
  const ref = useRef(null), { paths, doors } = found.value, late = (which) => doors.filter((one) => one[which] !== 0).length;
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current, { title: t("wi_map") }).then((map) => { if (map) { const quiet = drawOn(map, ref.current); stop = () => { quiet(); map.remove(); }; } });
    return () => stop();
  }, []);
  const stops = paths.find((one) => one.driver_id === driver.value), legs = (points) => Math.max(0, points.length - 1);
  return html`<section><h2>${t("wi_map")}</h2><div class="over-map"><${Choice} label=${t("driver")} of=${driver}>${paths.map((one, n) => html`<option key=${one.driver_id} value=${one.driver_id}>${one.name ?? `${t("a_pool_driver")} ${n + 1}`}</option>`)}</${Choice}>
    <ul class="key"><li><i data-day="way-alternative"></i>${t("wi_way_alternative", { n: legs(stops?.alternative ?? []) })}</li><li><i data-day="way-baseline"></i>${t("wi_way_baseline", { n: legs(stops?.baseline ?? []) })}</li>
      <li><i class="dot in-time"></i>${t("in_time")}</li><li><i class="dot late"></i>${t("wi_late")}</li><li><i class="dot never"></i>${t("wi_undelivered")}</li></ul></div>
    <div class="map" role="group" aria-label=${t("wi_map_says", { before: count(late("baseline_late_s")), after: count(late("alternative_late_s")) })}><div ref=${ref}></div></div></section>`;
}
function Answer() {
  const all = found.value;
  return html`<${Headline}/><${Model}/><${Figures}/>
    <section class="charts"><${Chart} title=${t("wi_chart_wait")} hours=${all.hours} values=${(one) => (one.click_to_door_mean_s === null ? null : one.click_to_door_mean_s / 60)} show=${(n) => (n === null ? "–" : minutes(n * 60))}/>
      <${Chart} title=${t("wi_chart_late")} hours=${all.hours} values=${(one) => one.late + one.undelivered} show=${count}/></section>
    <${Businesses}/><${Places}/><${MapArea}/>`;
}
function Content() {
  if (failure.value) return html`<${Empty} as="main" title=${t("wi_failed")} hint=${failure.value}><a class="btn" href="/board/">${t("wi_board")}</a></${Empty}>`;
  if (!days.value) return html`<main class="ghosts" aria-busy="true" aria-label=${t("loading")}><i></i><i></i><i></i></main>`;
  if (!days.value.length) return html`<${Empty} as="main" title=${t("wi_no_day")} hint=${t("wi_no_day_hint")}><code>make demo</code></${Empty}>`;
  return html`<main class="page"><${Ask}/><div class="answer" aria-busy=${Boolean(progress.value)}><${Progress}/>${found.value ? html`<${Answer}/>` : !progress.value && html`<${Empty} title=${t("wi_ready")} hint=${t("wi_ready_hint")}/>`}</div></main>`;
}
function Page() {
  useEffect(() => { document.title = `${t("wi_title")} · onward`; load(); }, []);
  return html`<header class="top"><a class="btn quiet" href="/board/" aria-label=${t("wi_board")}><img src="/web/shared/icon.svg" alt=""/><span>${t("wi_board")}</span></a><h1>${t("wi_title")}</h1><${ThemeSwitch}/></header><${Content}/>`;
}
render(html`<${Page}/>`, document.getElementById("app"));
