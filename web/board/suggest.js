// A delivery that a person gives out: whom the engine would take, best first, to accept or to dismiss.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { duration } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { api, html } from "../shared/ui.js";
import { give } from "./give.js";
import { driverOf, selected } from "./state.js";
import { sentence } from "./why.js";

const SHOWN_MAX = 5;
const found = signal({ of: null, data: [], excluded: {}, wrong: "" }), dismissed = signal(new Set());
async function load(id) {
  dismissed.value = new Set();
  found.value = { of: null, data: [], excluded: {}, wrong: "" };
  const answer = await api(token, `/dispatch/deliveries/${id}/suggestions`).catch((error) => ({ data: [], excluded: {}, wrong: error.message }));
  if (selected.value === id) found.value = { wrong: "", ...answer, of: id };
}
const nameOf = (one) => one.driver_name ?? driverOf(one.driver_id)?.name ?? t("a_pool_driver");
export function Suggestions({ d }) {
  useEffect(() => { load(d.id); }, [d.id, d.version]);
  const { of, data, excluded, wrong } = found.value, left = Object.entries(excluded).sort((a, b) => b[1] - a[1]);
  if (of !== d.id) return html`<p class="soft" role="status">${t("loading")}</p>`;
  const list = data.filter((one) => !dismissed.value.has(one.driver_id)).slice(0, SHOWN_MAX), best = data[0];
  const told = (one) => (one === best ? t("su_at_store", { time: duration(one.to_pickup_s) }) : sentence({ free_s: 0, took_other_job: false, ...one }, { free_s: 0, ...best }));
  return html`<section class="why suggestions"><h3>${t("su_title")}</h3>
    ${list.length > 0 && html`<ol>${list.map((one) => html`<li key=${one.driver_id}><span><b>${nameOf(one)}</b><small>${told(one)}</small></span>
      <span class="actions"><button class="btn main" aria-label=${t("su_take", { name: nameOf(one) })} onClick=${() => give([d.id], one.driver_id)}>${t("su_accept")}</button>
      <button class="btn" aria-label=${`${t("su_dismiss")}: ${nameOf(one)}`} onClick=${() => { dismissed.value = new Set([...dismissed.value, one.driver_id]); }}>${t("su_dismiss")}</button></span></li>`)}</ol>`}
    ${!list.length && html`<p role="status">${wrong || t(data.length ? "su_all_dismissed" : "su_none")}</p><button class="btn" onClick=${() => load(d.id)}>${t("su_again")}</button>`}
    ${left.length > 0 && html`<p class="soft">${t("left_out", { list: left.map(([why, n]) => `${n} ${t(`x_${why}`)}`).join(", ") })}</p>`}</section>`;
}
