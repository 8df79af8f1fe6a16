// The route: the stop he goes to is open, with the one thing to do there at the bottom of the screen; the others wait in order.
import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { meters, money, time } from "../shared/format.js";
import { reasonWords, t } from "../shared/messages.js";
import { Talk } from "../shared/talk.js";
import { Icon, html } from "../shared/ui.js";
import { shrink } from "./camera.js";
import { act, at, link, report, say, shown } from "./state.js";
import { useSteady } from "./steady.js";
import { Proof, ProofButton } from "./proofs.js";
import { canFail, mapLink, metersTo, nextStatus, proofLeft } from "./work.js";

const REASONS = ["nobody_there", "wrong_address", "refused", "damaged", "other"];
const failing = signal(null);

const titleOf = (stop) => t(`dr_stop_${stop.kind}`);
const dueOf = ({ kind, ready_at, promised_at }) => (kind === "return" ? "" : kind === "pickup" ? t("ready", { time: time(ready_at) }) : t("dr_due", { time: time(promised_at) }));
function Facts({ stop }) {
  return html`<dl class="facts">
    ${stop.items && html`<div><dt>${t("items")}</dt><dd>${stop.items}</dd></div>`}
    ${stop.kind === "pickup" && html`<div><dt>${t("code")}</dt><dd class="code">${stop.short_code}</dd></div><div><dt>${t("dr_ready")}</dt><dd class="num">${time(stop.ready_at)}</dd></div>`}
    ${stop.kind === "dropoff" && stop.dropoff_from && html`<div><dt>${t("dr_not_before")}</dt><dd class="num">${time(stop.dropoff_from)}</dd></div>`}
    ${stop.kind === "dropoff" && html`<div><dt>${t("promised")}</dt><dd class="num">${time(stop.promised_at)}</dd></div>`}
    ${stop.kind === "dropoff" && stop.cash_to_collect_minor > 0 && html`<div class="cash"><dt>${t("dr_cash")}</dt><dd class="num">${money(stop.cash_to_collect_minor, stop.currency)}</dd></div>`}
    ${stop.needs.length > 0 && html`<div><dt>${t("dr_take_along")}</dt><dd>${stop.needs.join(", ")}</dd></div>`}</dl>
    ${stop.kind === "dropoff" && stop.instructions && html`<p class="note"><${Icon} name="note"/><span>${stop.instructions}</span></p>`}
    ${stop.notice === "store_closed" && html`<p class="note bad" role="status">${t("dr_store_closed")}</p>`}`;
}
function Current({ stop }) {
  const far = at.value ? metersTo(stop, at.value) : null;
  return html`<article class="current" data-kind=${stop.kind}>
    <p class="kind">${titleOf(stop)}${far !== null && html` <span class="num">${t("dr_away", { distance: meters(far) })}</span>`}</p>
    <h2>${stop.name}</h2><p>${stop.address}</p>
    <p class="links"><a class="btn" href=${mapLink(stop)}><${Icon} name="away"/>${t("dr_navigate")}</a>
      ${stop.phone && html`<a class="btn" href=${`tel:${stop.phone}`}>${t("dr_call")}</a>`}</p>
    <${Facts} stop=${stop}/><${Taken} stop=${stop}/><${Written} stop=${stop}/>
    ${canFail(stop) && html`<button class="btn quiet fail" onClick=${() => { failing.value = stop; }}>${t("dr_fail")}</button>`}</article>`;
}
// What he and the desk, and on the way to the door he and the customer, wrote. Off line it waits like all that he does.
function Written({ stop }) {
  const items = shown.value.messages.filter((one) => one.delivery_id === stop.delivery_id), toDoor = stop.kind === "dropoff";
  const [channel, setChannel] = useState(toDoor ? "customer" : "desk"), label = t(`dr_write_${channel}`);
  const send = (text) => act("message", { delivery_id: stop.delivery_id, text, channel });
  return html`<details class="written" open=${items.length > 0}><summary>${t("messages")}${items.length > 0 && html` <span class="num">${items.length}</span>`}<${Icon} name="down"/></summary>
    ${toDoor && html`<label class="field">${t("dr_write_to")}<select class="choice" value=${channel} onChange=${(event) => setChannel(event.target.value)}>
      ${["customer", "desk"].map((one) => html`<option key=${one} value=${one}>${t(`dr_write_${one}`)}</option>`)}</select></label>`}
    <${Talk} items=${items} mine="driver" send=${send} label=${label} empty=${t("nothing_written")}/></details>`;
}
// The photo as it was kept, for as long as this phone still has it.
function Taken({ stop }) {
  const row = link.value.queue.value.waiting.find((one) => one.photo && one.action.delivery_id === stop.delivery_id);
  const [url, setUrl] = useState("");
  useEffect(() => {
    if (!row) return undefined;
    const made = URL.createObjectURL(row.photo);
    setUrl(made);
    return () => { setUrl(""); URL.revokeObjectURL(made); };
  }, [row?.n]);
  if (stop.kind !== "dropoff" || !shown.value.photographed.has(stop.delivery_id)) return null;
  return html`<figure class="taken">${url && html`<img src=${url} alt=${t("proof")}/>`}<figcaption><${Icon} name="check"/>${t(`dr_${stop.proof}_${url ? "kept" : "sent"}`)}</figcaption></figure>`;
}

function Fail() {
  const dialog = useRef(null), stop = failing.value;
  useEffect(() => { if (stop) dialog.current.showModal(); else dialog.current.close(); }, [stop]);
  const give = (why) => { report(stop, "failed", { reason: why }); failing.value = null; };
  return html`<dialog ref=${dialog} aria-labelledby="fail-title" onClose=${() => { failing.value = null; }}><div class="reasons">
    <h2 id="fail-title">${t("dr_fail_title")}</h2>${REASONS.map((why) => html`<button key=${why} class="btn" onClick=${() => give(why)}>${reasonWords(why)}</button>`)}
    <button class="btn quiet" onClick=${() => { failing.value = null; }}>${t("dr_back")}</button></div></dialog>`;
}

// The one thing to do now.
export function Action({ stop }) {
  const [busy, setBusy] = useState(false), next = nextStatus(stop), steady = useSteady(`${stop.id} ${stop.status}`);
  const photograph = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    setBusy(true);
    try {
      const place = at.peek();
      await link.value.photograph(stop.delivery_id, await shrink(file), place && { lat: place.lat, lng: place.lng });
    } catch { say(t("dr_bad_photo")); }
    setBusy(false);
  };
  if (!next) return null;
  const left = proofLeft(stop, shown.value.photographed);
  if (left && left !== "photo") return html`<${ProofButton} stop=${stop}/>`;
  if (left) return html`<label class="btn main huge camera" data-busy=${busy}><input class="sr" type="file" accept="image/*" capture="environment" disabled=${busy} onChange=${photograph}/><${Icon} name="camera"/>${t(busy ? "dr_photo_busy" : "dr_photo")}</label>`;
  return html`<button class="btn main huge" aria-disabled=${!steady} onClick=${() => steady && report(stop, next)}><${Icon} name="check"/>${t(`dr_do_${next}`)}</button>`;
}
export function Stops({ stops }) {
  const [current, ...others] = stops;
  return html`<p class="sr" role="status">${titleOf(current)} ${current.name}</p><${Current} key=${current.id + current.kind} stop=${current}/>
    ${others.length > 0 && html`<section class="others"><h2>${t("dr_then")}</h2><ol class="stops">${others.map((stop) => html`<li key=${stop.id} data-kind=${stop.kind}><b>${stop.name}</b><span>${stop.address}</span><small class="num">${[titleOf(stop), dueOf(stop)].filter(Boolean).join(" · ")}</small></li>`)}</ol></section>`}<${Fail}/><${Proof}/>`;
}
