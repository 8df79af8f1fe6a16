// The thread of one delivery: read anew whenever the board says that its number of messages changed.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Talk } from "../shared/talk.js";
import { api, html } from "../shared/ui.js";
import { DONE } from "./state.js";

const SHOWN_MAX = 100;

export function Thread({ d }) {
  const items = useSignal(null), wrong = useSignal(""), open = d.driver_id && !DONE.has(d.status);
  useEffect(() => {
    let old = false;
    if (d.messages) {
      api(token, `/deliveries/${d.id}/messages?limit=${SHOWN_MAX}`).then(
        (page) => { if (!old) { items.value = page.data.toReversed(); wrong.value = ""; } }, (error) => { if (!old) wrong.value = error.message; });
    } else items.value = [];
    return () => { old = true; };
  }, [d.id, d.messages]);
  if (!open && !d.messages) return null;
  const send = (text, key) => api(token, `/deliveries/${d.id}/messages`, { method: "POST", headers: { "Idempotency-Key": key }, body: { text } });
  return html`<section><h3>${t("messages")}</h3>${items.value === null && !wrong.value ? html`<p class="soft" role="status">${t("loading")}</p>`
    : html`<${Talk} items=${items.value ?? []} mine="desk" label=${t("write_driver", { name: d.driver_name ?? "" })} empty=${t("nothing_written")} wrong=${wrong.value} send=${open ? send : null}/>`}</section>`;
}
