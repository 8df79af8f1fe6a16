// Speed over time, drawn by uPlot: where it is pressed, the replay goes on; the scrubber above and the table below tell the same.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import uPlot from "uplot";
import { count, exactly, speed, time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { theme } from "../shared/theme.js";
import { html } from "../shared/ui.js";
import { at, events, gaps, path, seek } from "./state.js";

const HEIGHT_PX = 120, ROW_S = 60;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Stops and gaps lie behind the line.
function shade(chart) {
  const { ctx, bbox } = chart;
  for (const { from, to, kind } of events.value) {
    const [x, x2] = [from, to].map((ms) => chart.valToPos(ms / 1000, "x", true));
    ctx.fillStyle = ink(kind === "gap" ? "--warn-soft" : "--paper-3");
    ctx.fillRect(Math.max(bbox.left, x), bbox.top, Math.min(x2, bbox.left + bbox.width) - Math.max(bbox.left, x), bbox.height);
  }
}
export function Chart() {
  const ref = useRef(null);
  useEffect(() => {
    const rows = path.value.flatMap((row) => (gaps.value.some((gap) => gap.from === row[0]) ? [row, [row[0] + 1, 0, 0, null]] : [row]));
    const axis = { stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const chart = new uPlot({
      width: ref.current.clientWidth, height: HEIGHT_PX, legend: { show: false }, cursor: { show: false }, hooks: { drawClear: [shade] },
      scales: { x: { time: false, range: () => [rows[0][0] / 1000, rows.at(-1)[0] / 1000] }, y: { range: (_, low, high) => [0, Math.max(10, high * 1.1)] } },
      axes: [{ ...axis, size: 26, space: 70, incrs: [15, 30, 60, 120, 300, 600, 1800, 3600], values: (_, splits) => splits.map((s) => time(s * 1000)) }, { ...axis, size: 40, space: 26, values: (_, splits) => splits.map((n) => count(n)) }],
      series: [{}, { stroke: ink("--busy"), width: 2, fill: ink("--busy-soft"), points: { show: false } }],
    }, [rows.map(([ms]) => ms / 1000), rows.map(([, , , mps]) => (mps === null ? null : mps * 3.6))], ref.current);
    const now = chart.over.appendChild(document.createElement("i"));
    now.className = "now";
    const put = () => { now.style.left = `${chart.valToPos(at.value / 1000, "x")}px`; };
    const stop = effect(put);
    const press = (event) => { if (event.buttons) seek(chart.posToVal(event.clientX - chart.over.getBoundingClientRect().left, "x") * 1000); };
    chart.over.addEventListener("pointerdown", (event) => { chart.over.setPointerCapture(event.pointerId); press(event); });
    chart.over.addEventListener("pointermove", press);
    const watch = new ResizeObserver(() => { chart.setSize({ width: ref.current.clientWidth, height: HEIGHT_PX }); put(); });
    watch.observe(ref.current);
    return () => { watch.disconnect(); stop(); chart.destroy(); };
  }, [path.value, theme.value]);
  const rows = path.value.filter(([ms], n, all) => n === 0 || Math.floor(ms / 1000 / ROW_S) !== Math.floor(all[n - 1][0] / 1000 / ROW_S));
  return html`<figure class="chart"><figcaption>${t("tr_speed_chart")} <small>km/h</small></figcaption><div ref=${ref} aria-hidden="true"></div>
    <details><summary>${t("tr_path_table")}</summary><div class="wide" tabindex="0" role="group" aria-label=${t("tr_speed_chart")}><table><thead><tr><th scope="col">${t("tr_time")}</th><th scope="col" class="num">${t("tr_speed_chart")}</th></tr></thead>
      <tbody>${rows.map(([ms, , , mps]) => html`<tr key=${ms}><th scope="row" class="num">${exactly(ms)}</th><td class="num">${speed(mps)}</td></tr>`)}</tbody></table></div></details></figure>`;
}
