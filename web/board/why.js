// Why this driver: the choice in sentences, and what each runner-up would have made of it.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { duration, time } from "../shared/format.js";
import { has, reasonWords, t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { api, html } from "../shared/ui.js";
import { driverOf, selected } from "./state.js";

const WORTH_TELLING_S = 30;
const NOTHING = { data: [], answers: [] }, REFUSED = { declined: "said_no", expired: "said_nothing" };
const decisions = signal({ of: null, ...NOTHING });
async function load(id) {
  const found = await api(token, `/dispatch/decisions/${id}`).catch(() => NOTHING);
  if (selected.value === id) decisions.value = { of: id, ...found };
}
const there_s = (one) => one.free_s + one.to_pickup_s;
const nameOf = (one) => one.driver_name ?? driverOf(one.driver_id)?.name ?? t("a_pool_driver");

// One sentence a runner-up: how much later or earlier at the store, and what told against him.
export function sentence(other, chosen) {
  const name = nameOf(other), because = against(other, chosen);
  if (other.added_s !== null && other.added_s !== undefined) return `${t("would_add", { name, time: duration(other.added_s) })}${because ? `: ${because}` : ""}.`;
  if (chosen.to_pickup_s === null) return t("could_be", { name, time: duration(there_s(other)) });
  const later = there_s(other) - there_s(chosen), time = duration(Math.abs(later));
  const when = Math.abs(later) < WORTH_TELLING_S ? t("as_soon", { name }) : t(later > 0 ? "later" : "sooner", { name, time });
  return because ? `${when}: ${because}.` : `${when}.`;
}
// The first of what can be said in a person's words, the weightiest term otherwise.
function against(other, chosen) {
  if (other.took_other_job) return t("why_other_job");
  if (other.free_s > WORTH_TELLING_S && other.free_s > (chosen.free_s ?? 0)) return t("why_busy", { time: duration(other.free_s) });
  const dearer = Object.keys(other.terms).map((term) => [term, other.terms[term] - (chosen.terms[term] ?? 0)]).sort((a, b) => b[1] - a[1])[0];
  return dearer?.[1] > 0 ? t(has(`why_${dearer[0]}`) ? `why_${dearer[0]}` : `t_${dearer[0]}`) : "";
}
// What was chosen, in a sentence or two: between which stops, or when at the store, and with what else.
function chosenWords(last) {
  const name = last.driver_name ?? t("a_pool_driver");
  if (last.on_the_way) return t("detour", { name });
  const words = last.outcome === "planned" ? t("planned_adds", { name, time: duration(last.added_s) }) : rideWords(last, name);
  return last.together ? `${words} ${t("together", { n: last.together })}` : words;
}
function rideWords(last, name) {
  const ride = t("chosen_there", { name, time: duration(last.to_pickup_s) });
  return last.free_s > WORTH_TELLING_S ? t("chosen_after", { ride, time: duration(last.free_s) }) : `${ride}.`;
}
// Who was asked and did not take it, in the order they were asked: a dispatcher sees whether it is the pay or the way.
function Refusals({ answers }) {
  const refused = answers.filter((one) => REFUSED[one.answer]).reverse();
  if (!refused.length) return null;
  return html`<section class="why"><h3>${t("who_refused")}</h3><ul class="others">${refused.map((one) => html`<li key=${one.driver_id + one.at}><time class="num">${time(one.at)}</time> ${
    t(REFUSED[one.answer], { name: nameOf(one) })}${one.reason && `: ${reasonWords(one.reason)}`}</li>`)}</ul></section>`;
}
export function Why({ d }) {
  useEffect(() => { load(d.id); }, [d.id, d.status, d.attempts]);
  if (decisions.value.of !== d.id) return html`<p class="soft" role="status">${t("loading")}</p>`;
  const last = decisions.value.data[0];
  return html`<${Refusals} answers=${decisions.value.answers}/>${last ? html`<${Decision} last=${last}/>` : html`<p class="soft">${t("no_decision")}</p>`}`;
}
function Decision({ last }) {
  const terms = Object.entries(last.terms).filter(([, cost]) => cost > 0), top = Math.max(1, ...terms.map(([, cost]) => cost));
  const sum = terms.reduce((all, [, cost]) => all + cost, 0), left = Object.entries(last.excluded).sort((a, b) => b[1] - a[1]);
  return html`<section class="why"><h3>${last.driver_id ? t("why_driver", { name: last.driver_name ?? "" }) : t("why_nobody")}</h3>
    ${last.driver_id && (last.to_pickup_s !== null || last.added_s !== null) && html`<p>${chosenWords(last)}</p>`}
    ${last.runners_up.length > 0 && html`<ul class="others">${last.runners_up.map((one) => html`<li key=${one.driver_id}>${sentence(one, last)}</li>`)}</ul>`}
    ${left.length > 0 && html`<p class="soft">${t("left_out", { list: left.map(([why, n]) => `${n} ${t(`x_${why}`)}`).join(", ") })}</p>`}
    ${terms.length > 0 && html`<details><summary>${t("why_hint")}</summary><ul class="terms">
      ${terms.map(([name, cost]) => html`<li key=${name}><span>${t(`t_${name}`)}</span><i><b ref=${(e) => e && (e.style.inlineSize = `${(100 * cost) / top}%`)}></b></i><span class="num">${cost}</span></li>`)}
      <li class="sum"><span>${t("total_cost")}</span><i></i><span class="num">${sum}</span></li>
      ${last.runners_up.map((one) => html`<li key=${one.driver_id} class="rival"><span>${nameOf(one)}</span><i></i><span class="num">${one.total}</span></li>`)}</ul></details>`}</section>`;
}
