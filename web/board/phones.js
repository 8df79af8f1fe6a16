// The phone apps that report where a driver is: which are let in, and a code that sets another one up.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { since } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Field, Icon, api, html, now } from "../shared/ui.js";

function Codes({ made, close }) {
  const ref = useRef(null);
  useEffect(() => ref.current.showModal(), []);
  return html`<dialog class="codes" ref=${ref} onClose=${close} aria-labelledby="codes-title"><h2 id="codes-title">${t("ph_scan")}</h2><p class="soft">${t("ph_scan_hint")}</p>
    <div class="pair">${made.setups.map((one) => html`<figure key=${one.app}><figcaption>${t(`ph_${one.app}`)}</figcaption><img src=${one.qr} alt=${`${t("ph_scan")}: ${t(`ph_${one.app}`)}`}/><a class="btn" href=${one.link}>${t("ph_open")}</a></figure>`)}</div>
    <p class="soft">${t("ph_key")}<code class="key">${made.key}</code></p>
    <div class="actions"><button class="btn main" onClick=${() => ref.current.close()}>${t("close")}</button></div></dialog>`;
}
// Whoever may not connect phones of this driver is told so in the server's words, when the section is opened.
export function Phones({ driver }) {
  const phones = useSignal(null), made = useSignal(null), wrong = useSignal(""), path = `/drivers/${driver.id}/devices`;
  const attempt = async (work) => { try { wrong.value = ""; await work(); phones.value = (await api(token, path)).data; } catch (error) { wrong.value = t("ph_failed", { why: error.message }); } };
  const add = (event) => {
    event.preventDefault();
    const form = event.target;
    attempt(async () => { made.value = await api(token, path, { method: "POST", body: { label: new FormData(form).get("label").trim() } }); form.reset(); });
  };
  const revoke = (id) => attempt(() => api(token, `${path}/${id}`, { method: "DELETE" }));
  return html`<details class="phones" onToggle=${(event) => { if (event.target.open) attempt(() => {}); }}><summary><${Icon} name="phone"/>${t("ph_title")}</summary><div>
    <p class="soft">${t("ph_hint", { name: driver.name })}</p><p class="reason" role="alert">${wrong}</p>
    ${phones.value && html`${phones.value.length === 0 && html`<p class="soft">${t("ph_none")}</p>`}
      <ul>${phones.value.map((one) => html`<li key=${one.id} data-gone=${Boolean(one.revoked_at)}><span><b>${one.label}</b><small>${one.revoked_at ? t("ph_revoked") : one.seen_at ? t("seen", { time: since(Date.parse(one.seen_at), now.value) }) : t("ph_never")}</small></span>
        ${!one.revoked_at && html`<button class="btn icon quiet" aria-label=${t("ph_revoke", { label: one.label })} onClick=${() => revoke(one.id)}><${Icon} name="close"/></button>`}</li>`)}</ul>
      <form onSubmit=${add}><${Field} name="label" label=${t("ph_label")} required maxlength="60" autocomplete="off"/><button class="btn">${t("ph_add")}</button></form>`}</div>
    ${made.value && html`<${Codes} made=${made.value} close=${() => { made.value = null; }}/>`}</details>`;
}
