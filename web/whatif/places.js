// Where it gets better and where worse: the town in cells, coloured by how long its doors waited, for either day or their difference.
import { useEffect, useRef } from "preact/hooks";
import { computed, effect, signal } from "@preact/signals";
import { count } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/ui.js";
import { minutes } from "./figures.js";
import { found } from "./state.js";

const SCALE = ["#fef3c7", "#fcd34d", "#f59e0b", "#c2570c", "#7c2d12"], NONE = "#57534e";
const GAPS = ["#0f766e", "#5eead4", "#d6d3d1", "#fdba74", "#c2410c"], NICE_MIN = [0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60];
const MEASURES = {
  wait: (service) => service.click_to_door_mean_s,
  late: (service) => (service.deliveries > service.undelivered ? service.late_s / (service.deliveries - service.undelivered) : null),
};
const SIDES = ["baseline", "alternative", "difference"];
const measure = signal("wait"), side = signal("difference");

// What nine in ten values stay within: one corner of the town does not make all others look alike.
function most(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(0.9 * (sorted.length - 1))] ?? 0;
}
const nice = (seconds) => 60 * (NICE_MIN.find((n) => n * 60 >= seconds) ?? NICE_MIN.at(-1));
// Each cell with its value on both days; null where nothing was delivered.
const cells = computed(() => (found.value?.cells ?? []).map((cell) => {
  const [before, after] = ["baseline", "alternative"].map((day) => MEASURES[measure.value](cell[day]));
  return { corners: cell.corners, before, after, gap: before === null || after === null ? null : after - before };
}));
// Both days have one scale, so that they can be compared: the least that is there, and the seconds of a step.
const scale = computed(() => {
  const values = cells.value.flatMap((cell) => [cell.before, cell.after]).filter((value) => value !== null);
  const step = nice(Math.max(1, (most(values) - Math.min(...values)) / SCALE.length));
  return { from: values.length ? Math.floor(Math.min(...values) / step) * step : 0, step };
});
// Less than one such step is about the same, three or more are much.
const gapStep = computed(() => nice(most(cells.value.map((cell) => Math.abs(cell.gap ?? 0))) / 6));
function colorOf(cell) {
  const value = { baseline: cell.before, alternative: cell.after, difference: cell.gap }[side.value];
  if (value === null) return NONE;
  if (side.value !== "difference") return SCALE[Math.max(0, Math.min(SCALE.length - 1, Math.floor((value - scale.value.from) / scale.value.step)))];
  const steps = Math.abs(value) / gapStep.value, far = steps >= 3 ? 2 : steps >= 1 ? 1 : 0;
  return GAPS[2 + Math.sign(value) * far];
}
function legend() {
  const none = cells.value.some((cell) => colorOf(cell) === NONE) ? [[NONE, t("wi_step_none")]] : [];
  if (side.value === "difference") {
    const much = minutes(3 * gapStep.value);
    return [[GAPS[0], t("wi_step_faster", { time: much })], [GAPS[1], t("wi_step_bit_faster")], [GAPS[2], t("wi_step_same")], [GAPS[3], t("wi_step_bit_slower")], [GAPS[4], t("wi_step_slower", { time: much })], ...none];
  }
  const { from, step } = scale.value, at = (n) => from + n * step;
  return [...SCALE.map((color, n) => [color, n === 0 ? t("wi_step_under", { time: minutes(at(1)) }) : n === SCALE.length - 1 ? t("wi_step_over", { time: minutes(at(n)) }) : `${minutes(at(n))} – ${minutes(at(n + 1))}`]), ...none];
}
function Switch({ label, of, name, options }) {
  return html`<fieldset class="switch"><legend>${label}</legend>${options.map(([value, text]) => html`<label key=${value}><input type="radio" name=${name} value=${value} checked=${of.value === value} onChange=${() => { of.value = value; }}/>${text}</label>`)}</fieldset>`;
}
function Cells() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current, { title: t("wi_places") }).then((map) => {
      if (!map) return;
      const quiet = effect(() => map.cells(cells.value.map((cell) => ({ corners: cell.corners, color: colorOf(cell) }))));
      const framed = effect(() => { if (ref.current?.isConnected) map.fit((found.value?.cells ?? []).flatMap((cell) => cell.corners.map(([lat, lng]) => ({ lat, lng }))), 24, 0); });
      stop = () => { quiet(); framed(); map.remove(); };
    });
    return () => stop();
  }, []);
  return html`<div ref=${ref}></div>`;
}
export function Places() {
  const all = cells.value, better = all.filter((cell) => cell.gap !== null && cell.gap <= -gapStep.value).length, worse = all.filter((cell) => cell.gap !== null && cell.gap >= gapStep.value).length;
  const words = t("wi_places_say", { n: count(all.length), better: count(better), worse: count(worse) });
  return html`<section class="places"><h2>${t("wi_places")}</h2><div class="choose">
      <${Switch} label=${t("wi_measure")} of=${measure} name="measure" options=${Object.keys(MEASURES).map((one) => [one, t(`wi_m_${one}`)])}/>
      <${Switch} label=${t("wi_side")} of=${side} name="side" options=${SIDES.map((one) => [one, t(one === "difference" ? "wi_side_difference" : `wi_${one}`)])}/></div>
    <div class="map" role="group" aria-label=${words}><${Cells}/></div>
    <ul class="steps">${legend().map(([color, text]) => html`<li key=${color}><i ref=${(e) => e && (e.style.background = color)}></i>${text}</li>`)}</ul><p class="soft">${words} ${t("wi_places_hint")}</p></section>`;
}
