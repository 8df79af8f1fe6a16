// Who wrote what to whom about a delivery, and a line to write the next. A draft stays until the server has it.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { time } from "./format.js";
import { t } from "./messages.js";
import { html, newKey } from "./ui.js";

export const TEXT_MAX = 500;

// `items`: oldest first, `{id, sender, name, text, at, channel?}`; `mine`: who looks; `send(text, key)`: sent again with the same key it is said once.
export function Talk({ items, mine, send, label, empty, wrong = "" }) {
  const said = useSignal(""), busy = useSignal(false), key = useSignal(null), log = useRef(null);
  useEffect(() => { if (log.current) log.current.scrollTop = log.current.scrollHeight; }, [items.at(-1)?.id]);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target, text = new FormData(form).get("text").trim();
    if (!text || busy.value) return;
    key.value ??= newKey(); busy.value = true; said.value = "";
    try { await send(text, key.value); form.reset(); key.value = null; }
    catch (error) { said.value = error.message; }
    busy.value = false;
  };
  return html`${items.length ? html`<ol class="talk" role="log" tabindex="0" aria-label=${label} ref=${log}>${items.map((item) => html`
      <li key=${item.id} data-mine=${item.sender === mine}><small>${item.sender === mine ? t("you") : item.name}${item.channel === "customer" ? ` · ${t("with_customer")}` : ""} <time class="num" datetime=${item.at}>${time(item.at)}</time></small><p dir="auto">${item.text}</p></li>`)}</ol>`
    : html`<p class="soft">${empty}</p>`}
    ${send && html`<form class="say" onSubmit=${submit} onInput=${() => { key.value = null; }}><input name="text" autocomplete="off" maxlength=${TEXT_MAX} aria-label=${label} placeholder=${t("write_hint")} required/>
      <button class="btn main" disabled=${busy.value}>${t("send")}</button></form>`}
    <p class="wrong" role="alert">${said.value || wrong}</p>`;
}
