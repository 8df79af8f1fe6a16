// What the desk or the customer wrote about the delivery at hand, and his answer to whoever wrote last.
import { useEffect } from "preact/hooks";
import { time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/ui.js";
import { act, talk } from "./state.js";

export function Talk({ stop }) {
  const lines = talk(stop.delivery_id), last = lines.findLast((one) => one.sender !== "driver");
  useEffect(() => { if (last) navigator.vibrate?.(200); }, [last?.id]);
  const send = (event) => {
    event.preventDefault();
    const text = event.target.elements.text.value.trim();
    if (text) act("message", { delivery_id: stop.delivery_id, text, channel: last?.channel ?? "desk" });
    event.target.reset();
  };
  return html`<section class="talk" aria-label=${t("dr_messages")}><ul aria-live="polite">${lines.map((one) => html`<li key=${one.id} data-mine=${one.sender === "driver"}>
      <small>${one.sender === "driver" ? t("dr_you") : one.sender === "desk" ? t("dr_desk") : one.name || t("dr_customer")} <time class="num" datetime=${one.at}>${time(one.at)}</time></small>${one.text}</li>`)}</ul>
    <form onSubmit=${send}><input class="search" name="text" maxlength="500" autocomplete="off" aria-label=${t("dr_write")} placeholder=${t("dr_write")}/><button class="btn">${t("dr_send")}</button></form></section>`;
}
