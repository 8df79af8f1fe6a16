// How fairly the pool's work is shared: a bar and a number for each driver, and one index over all.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { count, duration, money, percent } from "../shared/format.js";
import { locale, t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Empty, api, html } from "../shared/ui.js";

const HOURS = [8, 24, 168, 744], decimal = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const hours = signal(8), found = signal(null), failed = signal("");

async function load() {
  failed.value = "";
  found.value = null;
  try { found.value = await api(token, `/dispatch/fairness?hours=${hours.value}`); } catch (error) { failed.value = error.message; }
}
const Bar = ({ share, text }) => html`<td class="num bar"><i aria-hidden="true"><b ref=${(e) => e && (e.style.inlineSize = `${100 * Math.min(1, share)}%`)}></b></i><span>${text}</span></td>`;
const rank = (jain) => (jain === null ? "unknown" : jain >= 0.9 ? "even" : jain >= 0.75 ? "fair" : "uneven");
function Shares() {
  const { drivers, jain_pay_per_hour: jain, currency } = found.value;
  if (!drivers.length) return html`<${Empty} title=${t("ru_nobody_worked")} hint=${t("ru_nobody_worked_hint")}/>`;
  const best = Math.max(1, ...drivers.map((one) => one.pay_per_hour_minor ?? 0)), most = Math.max(0.01, ...drivers.map((one) => one.work_share));
  const pay = (minor) => money(minor, currency);
  return html`<p class="jain"><b class="num">${jain === null ? "–" : decimal.format(jain)}</b><span>${t(`ru_jain_${rank(drivers.some((one) => one.pay_minor) ? jain : null)}`)} <small>${t("ru_jain_hint")}</small></span></p>
    <div class="wide" tabindex="0" role="group" aria-label=${t("ru_t_fairness")}><table><thead><tr><th scope="col">${t("driver")}</th><th scope="col" class="num">${t("ru_share")}</th><th scope="col" class="num">${t("deliveries")}</th>
      <th scope="col" class="num">${t("ru_pay_hour")}</th><th scope="col" class="num">${t("ru_pay")}</th><th scope="col" class="num">${t("ru_online")}</th><th scope="col" class="num">${t("ru_idle")}</th><th scope="col" class="num">${t("ru_accepts")}</th></tr></thead>
    <tbody>${drivers.toSorted((a, b) => b.work_share - a.work_share || a.driver_name.localeCompare(b.driver_name)).map((one) => html`<tr key=${one.driver_id}><th scope="row">${one.driver_name}</th>
      <${Bar} share=${one.work_share / most} text=${percent(one.work_share)}/><td class="num">${count(one.jobs)}</td>
      <${Bar} share=${(one.pay_per_hour_minor ?? 0) / best} text=${one.pay_per_hour_minor === null ? "–" : pay(one.pay_per_hour_minor)}/><td class="num">${pay(one.pay_minor)}</td>
      <td class="num">${duration(one.online_s)}</td><${Bar} share=${one.online_s ? one.idle_s / one.online_s : 0} text=${duration(one.idle_s)}/>
      <td class="num">${one.acceptance === null ? "–" : percent(one.acceptance)}</td></tr>`)}</tbody></table></div>`;
}
export function Fairness() {
  useEffect(() => { load(); }, [hours.value]);
  return html`<div class="intro"><p>${t("ru_fairness_hint")}</p><label class="field">${t("ru_window")}<select class="choice" value=${String(hours.value)} onChange=${(event) => { hours.value = Number(event.target.value); }}>${HOURS.map((n) => html`<option key=${n} value=${String(n)}>${t(`ru_hours_${n}`)}</option>`)}</select></label></div>
    ${failed.value ? html`<${Empty} title=${t("ru_failed")} hint=${failed.value}><button class="btn" onClick=${load}>${t("ru_again")}</button></${Empty}>`
    : found.value ? html`<${Shares}/>` : html`<div class="ghosts" role="status" aria-label=${t("loading")}><i></i><i></i></div>`}`;
}
