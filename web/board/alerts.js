// What is wrong right now: what, since when, what to do; a click goes to whom it is about. Quiet when all is well.
import { computed, effect } from "@preact/signals";
import { time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { Icon, html } from "../shared/ui.js";
import { filters } from "./filters.js";
import { board, deliveryOf, driverOf, say } from "./state.js";

const RANK = { critical: 0, warning: 1 };
const alerts = computed(() => (board.value?.alerts ?? []).toSorted((a, b) => RANK[a.severity] - RANK[b.severity] || Date.parse(a.since) - Date.parse(b.since)));

const textOf = (alert) => (alert.code === "mass_decline" && !alert.subject ? "a_mass_decline_all" : `a_${alert.code}`);
function valuesOf({ data, subject, business_id }) {
  const business = board.value.businesses.find((one) => one.id === business_id)?.name ?? "";
  const code = deliveryOf(subject?.id)?.short_code ?? "";
  return { ...data, business, code, n: data.waiting ?? data.lost, of: data.answered, phone: data.phone || data.name, time: time(data.last_seen?.at) || "–" };
}

// New troubles are read out once; the strip itself is no live region, it would be read whole at each change.
let known = null;
effect(() => {
  if (!board.value) return;
  const fresh = known ? alerts.value.filter((alert) => !known.has(alert.id)) : [];
  known = new Set(alerts.value.map((alert) => alert.id));
  if (fresh.length) say(fresh.map((alert) => t(textOf(alert), valuesOf(alert))).join(". "));
});

function Alert({ alert, pick }) {
  const id = alert.subject?.id, text = textOf(alert), values = valuesOf(alert);
  const many = (board.value.businesses.length > 1 && alert.business_id) || null;
  const go = deliveryOf(id) || driverOf(id) ? () => pick(id) : many && (() => { filters.business.value = many; });
  const inside = html`<${Icon} name="alert"/><b>${t(text, values)}</b><small>${t(`${text}_do`, values)}</small><time class="num" datetime=${alert.since}>${time(alert.since)}</time>`;
  return html`<li class=${alert.severity}>${go ? html`<button onClick=${go}>${inside}</button>` : html`<div>${inside}</div>`}</li>`;
}
export function Alerts({ pick }) {
  if (!alerts.value.length) return null;
  return html`<section class="alerts" aria-label=${t("alerts")}><ul>${alerts.value.map((alert) => html`<${Alert} alert=${alert} pick=${pick} key=${alert.id}/>`)}</ul></section>`;
}
