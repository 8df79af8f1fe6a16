// An offer is the whole screen: what it pays, how far, where, and how long there is to say yes.
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { duration, meters, money, time } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { reasonWords, t } from "../shared/messages.js";
import { Icon, html, now } from "../shared/ui.js";
import { at, link, reply } from "./state.js";
import { useSteady } from "./steady.js";

const REASONS = ["too_far", "too_little_pay", "busy", "other"], COLOR = "#0f766e", RING = 276.5, CALL_MS = 3600;
const declining = signal(false);

// A short tone and a buzz, again and again until he looks; browsers let a page sound once it was touched.
let sound = null;
export function allowSound() { sound ??= new AudioContext(); }
function call() {
  navigator.vibrate?.([200, 100, 200]);
  if (sound?.state !== "running") return;
  const tone = sound.createOscillator(), loud = sound.createGain();
  tone.frequency.value = 880;
  loud.gain.setValueAtTime(0.2, sound.currentTime);
  loud.gain.exponentialRampToValueAtTime(0.001, sound.currentTime + 0.35);
  tone.connect(loud).connect(sound.destination);
  tone.start();
  tone.stop(sound.currentTime + 0.4);
}

function Ring({ offer }) {
  const left_s = Math.max(0, Math.ceil((Date.parse(offer.expires_at) - now.value) / 1000));
  const whole_s = Math.max(1, (Date.parse(offer.expires_at) - Date.parse(offer.sent_at)) / 1000);
  return html`<div class="ring" data-late=${left_s <= 10} role="timer" aria-label=${t("dr_seconds", { n: left_s })}><svg viewBox="0 0 96 96" aria-hidden="true">
    <circle cx="48" cy="48" r="44"/><circle class="left" cx="48" cy="48" r="44" stroke-dasharray=${RING} stroke-dashoffset=${RING * (1 - Math.min(1, left_s / whole_s))}/></svg><b class="num" aria-hidden="true">${left_s}</b></div>`;
}
// Its doors in the order of the way, which is not that of the list.
function doorsOf({ stops, deliveries, dropoffs }) {
  const order = stops.filter((stop) => stop.kind === "dropoff").map((stop) => deliveries.indexOf(stop.delivery_id));
  return order.filter((n) => n >= 0).map((n) => dropoffs[n]);
}
function Sketch({ offer }) {
  const ref = useRef(null);
  useEffect(() => {
    let map = null, gone = false;
    makeMap(ref.current, { fallback: "" }).then((made) => {
      map = made;
      if (!map || gone) { map?.remove(); return; }
      const stores = offer.pickups.map((one, n) => ({ ...one, id: `s${n}`, kind: "store", color: COLOR })), me = at.peek();
      const doors = doorsOf(offer).map((one, n) => ({ ...one, id: `d${n}`, kind: "door", name: one.address, color: COLOR, selected: true }));
      map.places([...stores, ...doors]);
      map.line([...(me ? [me] : []), ...stores, ...doors]);
      if (me) map.drivers([{ id: "me", position: me, state: "available" }]);
      map.fit([...(me ? [me] : []), ...stores, ...doors], { top: 60, bottom: 30, left: 40, right: 40 }, 0);
    });
    return () => { gone = true; map?.remove(); };
  }, [offer.id]);
  return html`<div class="sketch" aria-hidden="true"><div ref=${ref}></div></div>`;
}
function Decline({ offer }) {
  const first = useRef(null);
  useEffect(() => first.current.focus(), []);
  const no = (why) => { declining.value = false; reply(offer, "decline", why); };
  return html`<div class="reasons" role="group" aria-label=${t("dr_why_not")} onKeyDown=${(event) => { if (event.key === "Escape") declining.value = false; }}><h2>${t("dr_why_not")}</h2>
    ${REASONS.map((why, n) => html`<button key=${why} ref=${n ? null : first} class="btn" onClick=${() => no(why)}>${reasonWords(why)}</button>`)}
    <button class="btn quiet" onClick=${() => { declining.value = false; }}>${t("dr_back")}</button></div>`;
}
export function Offer({ offer }) {
  const title = useRef(null), steady = useSteady(offer.id);
  useEffect(() => {
    declining.value = false;
    title.current.focus();
    call();
    const again = setInterval(call, CALL_MS);
    return () => clearInterval(again);
  }, [offer.id]);
  const live = link.value.state.value === "live";
  return html`<section class="offer" aria-labelledby="offer-title">
    <header><div><h1 id="offer-title" tabindex="-1" ref=${title}>${t("dr_offer")}</h1>
      <p class="pay num">${money(offer.pay_minor, offer.currency)}</p>
      <p>${[meters(offer.distance_m), offer.to_pickup_s !== null && t("dr_to_store", { time: duration(offer.to_pickup_s) }), offer.dropoffs.length > 1 && t("dr_doors", { n: offer.dropoffs.length })].filter(Boolean).join(" · ")}</p></div>
      <${Ring} offer=${offer}/></header>
    <div class="body"><${Sketch} key=${offer.id} offer=${offer}/>
      <ol class="stops">${offer.pickups.map((one, n) => html`<li key=${`p${n}`} data-kind="pickup"><b>${one.business_name}</b><span>${one.address}</span><small>${t("ready", { time: time(one.ready_at) })}</small></li>`)}
        ${doorsOf(offer).map((one, n) => html`<li key=${`d${n}`} data-kind="dropoff"><b>${one.address}</b></li>`)}</ol>
      ${offer.joins.length > 0 && html`<p class="note">${t("dr_joins")}</p>`}
      ${offer.needs.length > 0 && html`<p class="note">${t("dr_needs", { list: offer.needs.join(", ") })}</p>`}</div>
    <footer>${declining.value ? html`<${Decline} offer=${offer}/>`
      : offer.answered ? html`<p class="wait" role="status">${t(live ? "dr_accepting" : "dr_accept_waits")}</p>`
      : html`<button class="btn main huge" aria-disabled=${!steady} onClick=${() => steady && reply(offer, "accept")}><${Icon} name="check"/>${t("dr_accept")}</button>
        <button class="btn" aria-disabled=${!steady} onClick=${() => { declining.value = steady; }}>${t("dr_decline")}</button>`}</footer></section>`;
}
