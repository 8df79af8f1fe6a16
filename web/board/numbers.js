// The numbers on top: how it is now, and how the last hour went.
import { count, duration, percent } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { DriverMark, html } from "../shared/ui.js";
import { counts, link, silentDrivers } from "./state.js";

const IN_TIME_GOAL = 0.9, HOUR_MIN = 60, WIDTH = 72, HEIGHT = 26;

// One line for the share of drivers who had work, minute by minute; a minute nobody noted is a gap.
function Spark({ hour }) {
  if (hour.length < 2) return null;
  const last = hour.at(-1)[0], x = (minute) => WIDTH - 1 - ((last - minute) / (HOUR_MIN - 1)) * (WIDTH - 2), y = (share) => HEIGHT - 2 - share * (HEIGHT - 4);
  const shown = hour.filter(([, , share]) => share !== null);
  const path = shown.map(([minute, , share], n) => `${n && minute - shown[n - 1][0] === 1 ? "L" : "M"}${x(minute).toFixed(1)} ${y(share).toFixed(1)}`).join("");
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true"><path class="floor" d=${`M0 ${HEIGHT - 1}H${WIDTH}`}/><path d=${path}/></svg>`;
}
const Stat = ({ n, text, tone = "", hint, children }) => html`<div class=${`stat ${tone}`} title=${hint}><dd class="num">${n}${children}</dd><dt>${text}</dt></div>`;
export function Numbers() {
  const { open, waiting, risk, by } = counts.value, told = link.numbers.value;
  const share = told?.in_time_share ?? null, busy = told?.utilisation ?? null;
  return html`<dl class="numbers" aria-label=${t("numbers")} tabindex="0">
    <${Stat} n=${count(open)} text=${t("open")}/><${Stat} n=${count(waiting)} text=${t("unassigned")}/>
    <${Stat} n=${count(risk)} text=${t("late_risk")} tone=${risk ? "warn" : ""}/>
    <${Stat} n=${share === null ? "–" : percent(share)} text=${t("in_time")} hint=${t("in_time_hint")} tone=${share !== null && share < IN_TIME_GOAL ? "bad" : ""}/>
    <${Stat} n=${told?.wait_s_p50 == null ? "–" : duration(told.wait_s_p50)} text=${t("median_wait")} hint=${t("median_wait_hint")}/>
    <${Stat} n=${busy === null ? "–" : percent(busy)} text=${t("utilisation")} hint=${t("utilisation_hint")}><${Spark} hour=${told?.hour ?? []}/></${Stat}>
    ${Object.entries(by).map(([state, n]) => html`<${Stat} key=${state} n=${count(n)} tone="crew" text=${html`<${DriverMark} state=${state}/>${t(`d_${state}`)}`}/>`)}
    ${silentDrivers.value > 0 && html`<${Stat} n=${count(silentDrivers.value)} tone="crew" text=${html`<${DriverMark} state="offline" silent/>${t("d_silent")}`}/>`}</dl>`;
}
