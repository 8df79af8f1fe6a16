// Stores, open or closed for now: why, and until when.
import { useEffect, useRef } from "preact/hooks";
import { signal, useSignal } from "@preact/signals";
import { time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Empty, Field, api, html } from "../shared/ui.js";
import { instant, nameOf, said, stores, wordsOf } from "./state.js";

const closing = signal(null), wrong = signal("");

async function set(store, body) {
  try {
    const found = await api(token, `/stores/${store.id}`, { method: "PATCH", body });
    stores.value = stores.value.map((one) => (one.id === store.id ? { ...one, ...found } : one));
    said.value = t(body.open ? "ru_opened" : "ru_closed", { name: store.name });
    return "";
  } catch (error) { return error.problem ? wordsOf(error.problem) : error.message; }
}
function Closing({ store }) {
  const ref = useRef(null), problem = useSignal("");
  useEffect(() => ref.current.showModal(), []);
  const send = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    problem.value = await set(store, { open: false, reason: fields.get("reason").trim(), until: instant(fields.get("until")) });
    if (!problem.value) ref.current.close();
  };
  return html`<dialog ref=${ref} onClose=${() => { closing.value = null; }} aria-labelledby="closing-title"><form onSubmit=${send}>
    <h2 id="closing-title">${t("ru_close_title", { name: store.name })}</h2><p>${t("ru_close_hint")}</p>
    <${Field} name="reason" label=${t("ru_reason")} maxlength="200" required value=${store.closed_reason}/>
    <${Field} name="until" type="datetime-local" label=${t("ru_until_open")} wrong=${problem.value}/>
    <div class="actions"><button class="btn" type="button" onClick=${() => ref.current.close()}>${t("ru_leave")}</button><button class="btn danger main">${t("ru_close")}</button></div></form></dialog>`;
}
export function Stores() {
  const open = async (store) => { wrong.value = await set(store, { open: true }); };
  if (!stores.value.length) return html`<${Empty} title=${t("ru_no_stores")} hint=${t("ru_no_stores_hint")}><code>onward add store</code></${Empty}>`;
  return html`<div class="intro"><p>${t("ru_stores_hint")}</p></div><p class="wrong" role="alert">${wrong}</p>
    <ul class="cards">${stores.value.map((store) => html`<li key=${store.id} data-closed=${Boolean(store.closed_since)}>
      <span><b>${store.name}</b><small>${nameOf(store.business_id)}</small></span>
      <span class=${`badge ${store.closed_since ? "bad" : "ok"}`}>${t(store.closed_since ? "shop_closed" : "ru_by_hours")}</span>
      ${store.closed_since && html`<small class="more">${[t("ru_since", { time: time(store.closed_since) }), store.closed_until && t("ru_until", { time: time(store.closed_until) }), store.closed_reason].filter(Boolean).join(" · ")}</small>`}
      <span class="do">${store.closed_since && html`<button class="btn" onClick=${() => open(store)}>${t("ru_open")}</button>`}
        <button class="btn" onClick=${() => { closing.value = store; }}>${t(store.closed_since ? "ru_change" : "ru_close")}</button></span></li>`)}</ul>
    ${closing.value && html`<${Closing} store=${closing.value} key=${closing.value.id}/>`}`;
}
