// Two charts by the hour, drawn by uPlot; each has a table that says the same.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { count } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { theme } from "../shared/theme.js";
import { html } from "../shared/ui.js";

const HEIGHT_PX = 200, DASH = [6, 5], WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
export const clock = (hour) => `${String(((hour % 24) + 24) % 24).padStart(2, "0")}:00`;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// `values(service)`: the number of one hour of one day, null for none.
export function Chart({ title, hours, values, show }) {
  const ref = useRef(null);
  const rows = ["real", "baseline", "alternative"].map((which) => hours.map((one) => values(one[which])));
  useEffect(() => {
    const from = hours[0].hour - 0.5, to = hours.at(-1).hour + 0.5;
    const axis = { stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") }, font: "12px system-ui, sans-serif" };
    const line = (label, stroke, more = {}) => ({ label, stroke, width: 2.5, points: { size: 7, fill: stroke }, ...more });
    const chart = new uPlot({
      width: ref.current.clientWidth, height: HEIGHT_PX, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: () => [from, to] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, incrs: [1, 2, 3, 6], values: (_, splits) => splits.map((hour) => (Number.isInteger(hour) ? clock(hour) : "")) }, { ...axis, size: 44, incrs: WHOLE, values: (_, splits) => splits.map((n) => count(n)) }],
      series: [{}, line(t("wi_real"), ink("--ink-3"), { width: 1.5, dash: DASH }), line(t("wi_baseline"), ink("--busy")), line(t("wi_alternative"), ink("--warn"))],
    }, [hours.map((one) => one.hour), ...rows], ref.current);
    const watch = new ResizeObserver(() => chart.setSize({ width: ref.current.clientWidth, height: HEIGHT_PX }));
    watch.observe(ref.current);
    return () => { watch.disconnect(); chart.destroy(); };
  }, [hours, theme.value]);
  return html`<figure class="chart"><figcaption>${title}</figcaption><${Key}/><div ref=${ref} aria-hidden="true"></div>
    <details><summary>${t("wi_as_table")}</summary><div class="wide"><table><thead><tr><th scope="col">${t("wi_hour")}</th>
      ${["real", "baseline", "alternative"].map((which) => html`<th scope="col" class="num">${t(`wi_${which}`)}</th>`)}</tr></thead>
      <tbody>${hours.map((one, n) => html`<tr key=${one.hour}><th scope="row">${clock(one.hour)}</th>${rows.map((row) => html`<td class="num">${show(row[n])}</td>`)}</tr>`)}</tbody></table></div></details></figure>`;
}
function Key() {
  return html`<ul class="key">${["real", "baseline", "alternative"].map((which) => html`<li key=${which}><i data-day=${which}></i>${t(`wi_${which}`)}</li>`)}</ul>`;
}
