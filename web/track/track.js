// A customer's page: where it is, when it comes, what is next. The link is the key; nothing to log in to.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { html, render, signal, LinkState, ThemeSwitch, Timeline } from "../shared/ui.js";
import { watch } from "../shared/live.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { time, range, money } from "../shared/format.js";

const STEPS = [["placed", "accepted", "preparing", "ready", "pending", "offered", "assigned", "en_route_to_pickup", "arrived_at_pickup"], ["picked_up"], ["en_route_to_dropoff", "arrived_at_dropoff"], ["delivered"]];
const ENDED = new Set(["delivered", "canceled", "failed", "rejected", "returned"]);
const token = decodeURIComponent(location.hash.slice(1));
const link = watch(token), view = link.view, proof = signal(null);

effect(() => {
  const v = view.value;
  if (!v) return;
  document.title = `${t("s_" + v.status)} · ${v.business.name}`;
  document.documentElement.style.setProperty("--shop", v.business.color);
  if (v.proof && !proof.peek()) {
    proof.value = "loading";
    fetch(v.proof.url, { headers: { Authorization: `Bearer ${token}` } }).then((r) => (r.ok ? r.blob() : null)).then((blob) => { proof.value = blob && URL.createObjectURL(blob); });
  }
});

function MapBox() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current).then((map) => {
      if (!map) return;
      let framed = "";
      stop = effect(() => {
        const v = view.value;
        if (!v) return;
        const courier = v.driver?.position ? [v.driver.position] : [];
        map.places([{ id: "store", kind: "store", name: v.pickup.name, lat: v.pickup.lat, lng: v.pickup.lng, color: v.business.color }, { id: "door", kind: "door", name: v.dropoff.address, lat: v.dropoff.lat, lng: v.dropoff.lng, color: v.business.color, selected: true }]);
        map.drivers(v.driver ? [{ ...v.driver, state: "busy" }] : []);
        const state = v.status + Boolean(courier.length);
        if (framed !== state) { framed = state; map.fit([v.pickup, v.dropoff, ...courier], { top: 70, bottom: 90, left: 50, right: 50 }); }
      });
    });
    return () => stop();
  }, []);
  return html`<div class="map" role="region" aria-label=${t("map_label")}><div ref=${ref}></div></div>`;
}
function When({ v }) {
  if (v.status === "delivered") return html`<p class="when">${t("delivered_at", { time: time(v.timeline.at(-1)?.at) })}</p>`;
  if (ENDED.has(v.status)) return html`<p>${v.reason}</p>`;
  if (v.eta) return html`<p class="when num">${t("arriving", { range: range(v.eta) })}</p>`;
  return v.promised_at ? html`<p class="when num">${t("arriving_about", { time: time(v.promised_at) })}</p>` : null;
}
function Courier({ v }) {
  if (ENDED.has(v.status)) return null;
  if (!v.driver) return html`<p class="calm">${t("courier_soon")}</p>`;
  return html`<div class="courier"><span class="face" aria-hidden="true">${v.driver.name[0]}</span><span><b>${v.driver.name}</b><small>${t("courier")} · ${t("v_" + v.driver.vehicle)}</small>
    <small>${v.stops_before ? t("stops_before", { n: v.stops_before }) : v.stops_before === 0 && v.timeline.some((s) => s.status === "picked_up") ? t("next_stop") : ""}</small></span></div>`;
}
function Bill({ order }) {
  const line = (name, minor) => html`<div><span>${name}</span><span class="num">${money(minor, order.currency)}</span></div>`;
  return html`<section><h2>${t("your_order")} ${order.number}</h2><div class="bill">${order.items.map((i) => line(`${i.quantity} × ${i.name}`, i.total_minor))}
    ${line(t("delivery_fee"), order.delivery_fee_minor)}${order.tip_minor ? line(t("tip"), order.tip_minor) : null}
    <div class="sum"><span>${t("total")}</span><span class="num">${money(order.total_minor, order.currency)}</span></div>${order.payment === "cash" ? html`<small>${t("pay_cash")}</small>` : null}</div></section>`;
}
function Track() {
  if (!token || link.state.value === "refused") return html`<main class="empty"><strong>${t("link_wrong")}</strong>${t("link_wrong_hint")}</main>`;
  const v = view.value;
  if (!v) return html`<main class="empty" role="status">${t("loading")}</main>`;
  const reached = STEPS.findIndex((s) => s.includes(v.status));
  const icon = { done: "✓", next: "●", todo: "○" };
  return html`<div class="track"><${MapBox}/><main class="sheet">
    <div class="shop"><b>${v.business.name}</b><span>${v.short_code}</span><${LinkState} link=${link}/><${ThemeSwitch}/></div>
    <div class="big" aria-live="polite"><h1>${t("s_" + v.status)}</h1><${When} v=${v}/></div>
    ${reached >= 0 ? html`<div class="progress" aria-hidden="true">${STEPS.map((_, n) => html`<i data-on=${n <= reached}></i>`)}</div>` : null}
    <${Courier} v=${v}/>
    ${proof.value && proof.value !== "loading" ? html`<section><h2>${t("proof")}</h2><div class="proof"><img src=${proof.value} alt=${t("proof")}/></div></section>` : null}
    ${ENDED.has(v.status) ? null : html`<section><h2>${t("way")}</h2><ol class="stops">${v.stops.map((s) => html`<li data-status=${s.status}><span aria-hidden="true">${icon[s.status]}</span><span>${s.kind === "other" ? t("other_stop") : s.label}</span></li>`)}</ol></section>`}
    <section><h2>${t("timeline")}</h2><${Timeline} steps=${v.timeline} prefix="s_"/></section>
    ${v.order ? html`<${Bill} order=${v.order}/>` : null}</main></div>`;
}
render(html`<${Track}/>`, document.getElementById("app"));
