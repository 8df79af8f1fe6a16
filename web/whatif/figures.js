// The three days side by side: what is better and what is worse is said by sign, colour and word.
import { money, percent, count } from "../shared/format.js";
import { locale, t } from "../shared/messages.js";
import { html } from "../shared/ui.js";
import { found } from "./state.js";

const unit = (name, digits) => new Intl.NumberFormat(locale, { style: "unit", unit: name, maximumFractionDigits: digits });
const minute = unit("minute", 1), kilometer = unit("kilometer", 1), decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
export const minutes = (seconds) => (seconds === null ? "–" : minute.format(seconds / 60));
const km = (m) => kilometer.format(m / 1000), plain = (n) => decimal.format(n);

// [key, where, how it is written, whether less is better (null: neither)]
const MEASURES = (currency) => {
  const pay = (minor) => money(minor, currency);
  return [
    ["undelivered", "service", count, true], ["click_to_door_mean_s", "service", minutes, true], ["click_to_door_p50_s", "service", minutes, true],
    ["click_to_door_p90_s", "service", minutes, true], ["late", "service", count, true], ["late_s", "service", minutes, true],
    ["drivers", "work", count, null], ["pay_minor", "work", pay, null], ["pay_per_hour_minor", "work", pay, false],
    ["distance_m", "work", km, true], ["empty_m", "work", km, true], ["utilisation", "work", percent, null], ["deliveries_per_trip", "work", plain, null],
  ];
};
export function Difference({ before, after, show, less }) {
  if (before === null || after === null) return "–";
  const gap = after - before, written = show(Math.abs(gap));
  if (gap === 0 || written === show(0)) return html`<span class="same">${t("wi_same")}</span>`;
  const tone = less === null ? "" : gap < 0 === less ? "better" : "worse";
  return html`<span class=${tone}>${gap > 0 ? "+" : "−"}${written}${tone && html` <small>${t(`wi_${tone}`)}</small>`}</span>`;
}
export function Figures() {
  const { real, baseline, alternative, currency } = found.value;
  return html`<div class="wide" tabindex="0" role="group" aria-label=${t("wi_figures")}><table class="figures"><thead><tr><td></td>
    <th scope="col" class="num">${t("wi_baseline")}</th><th scope="col" class="num">${t("wi_alternative")}</th><th scope="col" class="num">${t("wi_difference")}</th><th scope="col" class="num aside">${t("wi_real")}</th></tr></thead>
    <tbody>${MEASURES(currency).map(([key, where, show, less]) => {
      const [was, before, after] = [real, baseline, alternative].map((one) => one[where][key]), cell = (value) => (value === null ? "–" : show(value));
      return html`<tr key=${key}><th scope="row">${t(`wi_${key}`)}</th><td class="num">${cell(before)}</td><td class="num">${cell(after)}</td>
        <td class="num"><${Difference} before=${before} after=${after} show=${show} less=${less}/></td><td class="num aside">${cell(was)}</td></tr>`;
    })}</tbody></table></div>`;
}
export function Businesses() {
  const rows = found.value.businesses;
  if (rows.length < 2) return null;
  return html`<section><h2>${t("wi_by_business")}</h2><div class="wide" tabindex="0" role="group" aria-label=${t("wi_figures")}><table class="figures"><thead><tr><td></td><th scope="col" class="num">${t("deliveries")}</th><th scope="col" class="num">${t("wi_baseline")}</th>
    <th scope="col" class="num">${t("wi_alternative")}</th><th scope="col" class="num">${t("wi_difference")}</th><th scope="col" class="num">${t("wi_late")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.business_id}><th scope="row">${one.name}</th><td class="num">${count(one.baseline.deliveries)}</td>
      <td class="num">${minutes(one.baseline.click_to_door_mean_s)}</td><td class="num">${minutes(one.alternative.click_to_door_mean_s)}</td>
      <td class="num"><${Difference} before=${one.baseline.click_to_door_mean_s} after=${one.alternative.click_to_door_mean_s} show=${minutes} less=${true}/></td>
      <td class="num">${count(one.baseline.late)} → ${count(one.alternative.late)}</td></tr>`)}</tbody></table></div></section>`;
}
