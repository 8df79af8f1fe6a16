// A customer's page: where it is, when it comes, what is next. The link is the key; nothing to log in to.
import { useEffect, useRef } from "preact/hooks";
import { computed, effect } from "@preact/signals";
import { meters, money, range, time } from "../shared/format.js";
import { watch } from "../shared/live.js";
import { isSilent, makeMap } from "../shared/map.js";
import { reasonWords, t } from "../shared/messages.js";
import { Talk } from "../shared/talk.js";
import { Empty, Icon, LinkState, ThemeSwitch, Timeline, api, html, now, render, signal, wear } from "../shared/ui.js";

const STEPS = [
  ["step_kitchen", ["placed", "accepted", "preparing", "ready", "pending", "offered", "assigned", "en_route_to_pickup", "arrived_at_pickup"]],
  ["step_picked_up", ["picked_up"]], ["step_way", ["en_route_to_dropoff", "out_for_delivery"]],
  ["step_door", ["arrived_at_dropoff", "delivered", "completed"]],
];
const ARRIVED = new Set(["delivered", "completed"]);
const ENDED = new Set([...ARRIVED, "canceled", "failed", "rejected", "returning", "returned"]);
const CLOSE_MIN = 2, WIDE_PX = 820, M_PER_DEGREE = 111_320;

const token = location.hash.slice(1);
addEventListener("hashchange", () => location.reload());
const link = token ? watch(token, { poll: "/api/v1/track" }) : null;
const view = computed(() => link?.facts.value), driver = computed(() => link?.view.value?.driver);
const proof = signal(null);

effect(() => {
  const v = view.value;
  if (!v) return;
  document.title = `${t(`s_${v.status}`)} · ${v.business.name}`;
  wear(v.business.color);
  if (v.proof && proof.peek() === null) {
    proof.value = "";
    fetch(v.proof.url, { headers: { Authorization: `Bearer ${token}` } })
      .then((reply) => (reply.ok ? reply.blob() : null)).then((photo) => { proof.value = photo ? URL.createObjectURL(photo) : ""; }, () => null);
  }
});

function drawOn(map) {
  let framed = "";
  const stops = [
    effect(() => {
      const v = view.value;
      if (!v) return;
      const { color } = v.business;
      map.places([{ id: "store", kind: "store", name: v.pickup.name, lat: v.pickup.lat, lng: v.pickup.lng, color },
        { id: "door", kind: "door", name: v.dropoff.address, lat: v.dropoff.lat, lng: v.dropoff.lng, color, selected: true }]);
      const courier = driver.peek()?.position, state = `${v.status} ${Boolean(courier)}`;
      if (framed === state) return;
      framed = state;
      map.fit([...(courier && !ENDED.has(v.status) ? [courier] : [v.pickup]), v.dropoff], innerWidth < WIDE_PX ? { top: 70, bottom: 50, left: 60, right: 70 } : 130);
    }),
    effect(() => {
      const one = driver.value, { color } = view.value?.business ?? {};
      map.drivers(one && color ? [{ ...one, icon: `courier/${color}` }] : []);
    }),
  ];
  return () => stops.forEach((stop) => stop());
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current, { fallback: t("no_map_track") }).then((map) => { if (map) stop = drawOn(map); });
    return () => stop();
  }, []);
  return html`<section class="map" aria-label=${t("map_label")}><div ref=${ref}></div></section>`;
}
// What the dot on the map says, for those who can't see it; in steps, so that it is not read out all the time.
function MapInWords() {
  const v = view.value, at = driver.value?.position;
  if (!v || !at) return t("map_wait");
  const x = (at.lng - v.dropoff.lng) * Math.cos((at.lat * Math.PI) / 180), y = at.lat - v.dropoff.lat;
  return t("map_track", { distance: meters(Math.max(100, Math.round((Math.hypot(x, y) * M_PER_DEGREE) / 200) * 200)) });
}

// A range first, then a minute, then any minute.
function When({ v }) {
  if (ARRIVED.has(v.status)) return html`<p class="when num">${t("delivered_at", { time: time(v.timeline.at(-1)?.at) })}</p>`;
  if (ENDED.has(v.status)) return v.reason ? html`<p>${reasonWords(v.reason)}</p>` : null;
  if (v.status === "arrived_at_dropoff") return null;
  const delayed = v.delayed && html`<p class="delayed">${t("delayed", { time: time(v.promised_at) })}</p>`;
  if (!v.eta && delayed) return delayed;
  if (!v.eta) return v.promised_at ? html`<p class="when num"><small>${t("arriving_about")}</small> ${time(v.promised_at)}</p>` : null;
  const [soon, late] = [v.eta.p50, v.eta.p90].map((at) => Math.round((Date.parse(at) - now.value) / 60_000));
  if (late < CLOSE_MIN) return html`<p class="when"><small>${t("arriving")}</small> ${t("any_minute")}</p>`;
  const minutes = late - soon < CLOSE_MIN ? `${late}` : `${Math.max(1, soon)}–${late}`;
  return html`<p class="when num"><small>${t("arriving")}</small> ${late - soon < CLOSE_MIN ? time(v.eta.p90) : range(v.eta)}</p><p class="num">${t("arriving_in", { range: minutes })}</p>${delayed}`;
}
function Progress({ v }) {
  const reached = STEPS.findIndex(([, statuses]) => statuses.includes(v.status));
  if (reached < 0) return null;
  return html`<ol class="progress" aria-hidden="true">${STEPS.map(([name], n) => html`<li key=${name} data-on=${n <= reached} data-now=${n === reached && !ARRIVED.has(v.status)}>${t(name)}</li>`)}</ol>`;
}
function Courier({ v }) {
  if (ENDED.has(v.status)) return null;
  if (!v.driver) return html`<p class="courier wait"><span class="face"><i></i></span>${t("courier_soon")}</p>`;
  const at = driver.value?.position, silent = isSilent({ position: at }, now.value);
  const next = v.stops_before ? t("stops_before", { n: v.stops_before }) : v.stops_before === 0 && v.timeline.some((step) => step.status === "picked_up") ? t("next_stop") : "";
  return html`<div class="courier"><span class="face" aria-hidden="true">${v.driver.name[0]}</span>
    <span><small>${t("courier")}</small><b>${v.driver.name}</b> <small>${t(`v_${v.driver.vehicle}`)}</small></span>
    <span class="next">${next && html`<span class=${`badge ${v.stops_before ? "" : "ok"}`}>${next}</span>`}${silent && html`<small>${t("silent_courier", { time: time(at.t) })}</small>`}</span></div>`;
}
function Way({ v }) {
  const name = (stop) => (stop.kind === "other" ? t("other_stop") : stop.label);
  return html`<section><h2>${t("way")}</h2><ol class="stops">${v.stops.map((stop, n) => html`<li key=${n} data-kind=${stop.kind} data-status=${stop.status}>
    <span>${name(stop)}</span>${stop.status === "done" && html`<${Icon} name="check"/>`}</li>`)}</ol>
    ${v.dropoff.instructions && html`<p class="note"><${Icon} name="note"/><span><small>${t("instructions")}</small>${v.dropoff.instructions}</span></p>`}</section>`;
}
function Bill({ order, status }) {
  const pay = order.payment === "cash" && (ARRIVED.has(status) ? "paid_cash" : !ENDED.has(status) && "pay_cash");
  const Line = ({ name, minor, tone = "" }) => html`<div class=${tone}><dt>${name}</dt><dd class="num">${money(minor, order.currency)}</dd></div>`;
  return html`<section><h2>${t("your_order")} <small>${order.number}</small></h2><dl class="bill">
    ${order.items.map((item, n) => html`<${Line} key=${n} name=${`${item.quantity} × ${item.name}`} minor=${item.total_minor}/>`)}
    <${Line} name=${t("delivery_fee")} minor=${order.delivery_fee_minor} tone="soft"/>${order.tip_minor > 0 && html`<${Line} name=${t("tip")} minor=${order.tip_minor} tone="soft"/>`}
    <${Line} name=${t("total")} minor=${order.total_minor} tone="sum"/></dl>
    ${pay && html`<p class="note"><${Icon} name="cash"/><span>${t(pay)}</span></p>`}</section>`;
}
// Between the door and the courier, with no number shown to either.
function Messages({ v }) {
  const open = v.may_write && !ENDED.has(v.status), written = v.messages ?? [];
  if (!open && !written.length) return null;
  const send = (text, key) => api(token, "/track/messages", { method: "POST", headers: { "Idempotency-Key": key }, body: { text } });
  return html`<section><h2>${t("messages")}</h2><${Talk} items=${written} mine="customer" label=${t("write_courier")} empty=${t("write_courier_hint")} send=${open ? send : null}/></section>`;
}
function Track() {
  const state = link?.state.value, v = view.value;
  if (!link || (!v && (state === "refused" || state === "ended"))) return html`<${Empty} as="main" title=${t("link_wrong")} hint=${t("link_wrong_hint")}/>`;
  if (!v && (state === "lost" || state === "away" || !navigator.onLine)) return html`<${Empty} as="main" title=${t("track_silent")} hint=${t("track_silent_hint")}/>`;
  if (!v) return html`<${Empty} as="main" title=${t("loading")}/>`;
  return html`<div class="track"><${MapArea}/><main class="sheet">
    <div class="head"><b>${v.business.name}</b><span class="code" title=${t("code")}>${v.short_code}</span><span class="grow"></span><${LinkState} link=${link}/><${ThemeSwitch}/></div>
    <div class="big" aria-live="polite" data-over=${ENDED.has(v.status) && !ARRIVED.has(v.status)}><h1>${t(`s_${v.status}`)}</h1><${When} v=${v}/></div>
    <${Progress} v=${v}/><${Courier} v=${v}/><p class="sr" role="status"><${MapInWords}/></p>
    ${v.pin && html`<section class="pin"><h2>${t("pin")}</h2><p class="num">${v.pin.slice(0, 3)} ${v.pin.slice(3)}</p><p>${t("pin_hint")}</p></section>`}
    <${Messages} v=${v}/>
    ${proof.value && html`<section><h2>${t("proof")}</h2><img class="proof" src=${proof.value} alt=${t("proof")}/></section>`}
    ${!ENDED.has(v.status) && html`<${Way} v=${v}/>`}
    ${v.order && html`<${Bill} order=${v.order} status=${v.status}/>`}
    <section><h2>${t("timeline")}</h2><${Timeline} steps=${v.timeline} prefix="s_"/></section></main></div>`;
}
render(html`<${Track}/>`, document.getElementById("app"));
