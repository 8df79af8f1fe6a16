// What he earned: today, delivery by delivery, and all together.
import { useEffect, useRef } from "preact/hooks";
import { computed, signal } from "@preact/signals";
import { money, time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { Icon, api, html } from "../shared/ui.js";
import { account } from "./account.js";

// { totals, data } of today's pages; `failed`: the words why it is not there.
export const earned = signal(null), failed = signal(""), open = signal(false);
const minor = (one) => one.base_minor + one.tip_minor;

export async function loadEarnings() {
  const midnight = new Date().setHours(0, 0, 0, 0), data = [];
  try {
    let page = null, fresh = [];
    do {
      page = await api(account.token, `/driver/earnings?limit=100${page ? `&cursor=${page.next_cursor}` : ""}`);
      fresh = page.data.filter((one) => Date.parse(one.earned_at) >= midnight);
      data.push(...fresh);
    } while (page.has_more && fresh.length === page.data.length);
    earned.value = { totals: page.totals, data };
    failed.value = "";
  } catch (error) { failed.value = error.message; }
}
const sums = computed(() => {
  const by = new Map();
  for (const one of earned.value?.data ?? []) by.set(one.currency, (by.get(one.currency) ?? 0) + minor(one));
  return [...by].map(([currency, amount]) => money(amount, currency));
});
export const today = computed(() => (earned.value ? sums.value.join(" + ") || earned.value.totals.map((total) => money(0, total.currency)).join(" + ") : ""));

export function Earnings() {
  const all = earned.value, button = useRef(null), close = () => { open.value = false; };
  useEffect(() => button.current.focus(), []);
  return html`<section class="earnings" aria-labelledby="earnings-title" onKeyDown=${(event) => { if (event.key === "Escape") close(); }}>
    <header class="top"><h1 id="earnings-title">${t("dr_earnings")}</h1><span class="grow"></span><button class="btn icon quiet" ref=${button} aria-label=${t("close")} onClick=${close}><${Icon} name="close"/></button></header>
    ${failed.value && html`<p class="note bad" role="alert">${failed.value}</p>`}
    ${!all && !failed.value && html`<p class="hint" role="status">${t("loading")}</p>`}
    ${all && !all.data.length && html`<p class="hint">${t("dr_earned_none")}</p>`}
    ${all?.data.length > 0 && html`<p class="pay num">${sums.value.join(" + ")}</p><p class="hint">${t("dr_deliveries_today", { n: all.data.length })}</p>
      <ul class="money">${all.data.map((one) => html`<li key=${one.id}><time class="num" datetime=${one.earned_at}>${time(one.earned_at)}</time>
        <span>${one.tip_minor > 0 && t("dr_tip", { amount: money(one.tip_minor, one.currency) })}</span><b class="num">${money(minor(one), one.currency)}</b></li>`)}</ul>`}
    ${all?.totals.length > 0 && html`<p class="sum"><span>${t("dr_earned_ever")}</span><b class="num">${all.totals.map((total) => money(total.amount_minor, total.currency)).join(" + ")}</b></p>`}</section>`;
}
