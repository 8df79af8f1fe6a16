// A shop's own page: food first, an honest price, one page to the order, then the tracking link.
import { useEffect, useRef } from "preact/hooks";
import { computed, effect } from "@preact/signals";
import { money } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { Empty, Field, Icon, ThemeSwitch, api, html, newKey, render, signal, wear } from "../shared/ui.js";

const ROAD_FACTOR = 1.4, EARTH_M = 6_371_000, PAGE = 100;
const subdomain = new URLSearchParams(location.search).get("s") ?? "";
const path = `/storefronts/${encodeURIComponent(subdomain)}`;
const shop = signal(null), dishes = signal([]), sections = signal([]), trouble = signal("");
// Which field of the form the server means.
const FIELD_OF = { "customer.name": "name", "customer.phone": "phone", "dropoff.address": "address", "dropoff.instructions": "note" };
const faults = signal({}), basket = signal({}), door = signal(null), wrong = signal(""), busy = signal(false), mapless = signal(false);

async function allDishes() {
  const found = [];
  for (let cursor = "", more = true; more;) {
    const page = await api(null, `${path}/products?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...page.data);
    [cursor, more] = [page.next_cursor, page.has_more];
  }
  return found;
}
async function open() {
  try {
    const [found, menu, categories] = await Promise.all([api(null, path), allDishes(), api(null, `${path}/categories`)]);
    wear(found.color);
    document.title = found.name;
    [shop.value, dishes.value, sections.value] = [found, menu, categories.data];
  } catch (error) { trouble.value = { 404: "missing", 422: "missing", 429: "busy" }[error.problem?.status] ?? "silent"; }
}
if (subdomain) open(); else trouble.value = "missing";

const put = (id, by) => { basket.value = { ...basket.value, [id]: Math.min(99, Math.max(0, (basket.value[id] ?? 0) + by)) }; };
const lines = computed(() => dishes.value.filter((p) => basket.value[p.id]).map((p) => ({ ...p, quantity: basket.value[p.id] })));
const food = computed(() => lines.value.reduce((sum, line) => sum + line.quantity * line.price_minor, 0));

// The server's own rule, so that the price before the order is the price of the order.
function road_m(a, b) {
  const rad = Math.PI / 180, h = Math.sin(((b.lat - a.lat) * rad) / 2) ** 2 + Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.sin(((b.lng - a.lng) * rad) / 2) ** 2;
  return Math.round(ROAD_FACTOR * 2 * EARTH_M * Math.asin(Math.sqrt(h)));
}
const fee = computed(() => {
  const s = shop.value, near = door.value && s.stores.filter((store) => store.open_now).map((store) => road_m(store, door.value));
  return near?.length ? s.delivery_base_fee_minor + Math.floor((s.delivery_fee_per_km_minor * Math.min(...near) + 500) / 1000) : null;
});

// One key per order as written: sending the same again can't order twice, and a corrected order is another one.
let sent = { text: "", key: "" };
function blame(form, problem) {
  const names = (problem?.errors ?? []).map((error) => FIELD_OF[error.field]).filter(Boolean);
  faults.value = Object.fromEntries(names.map((name) => [name, t(`wrong_${name}`)]));
  const first = [...form.elements].find((field) => names.includes(field.name));
  requestAnimationFrame(() => first?.focus());
  return Boolean(first);
}
async function order(event) {
  event.preventDefault();
  const form = event.target;
  blame(form, null);
  if (!door.value) { wrong.value = t("pick_door_first"); return; }
  const fields = new FormData(form);
  const body = {
    subdomain, items: lines.value.map((line) => ({ product_id: line.id, quantity: line.quantity })), payment_method: "cash",
    customer: { name: fields.get("name"), phone: fields.get("phone") },
    dropoff: { address: fields.get("address"), ...door.value, instructions: fields.get("note") },
  };
  const text = JSON.stringify(body);
  if (text !== sent.text) sent = { text, key: newKey() };
  busy.value = true;
  wrong.value = "";
  try {
    const placed = await api(null, "/customers/guest-checkout", { method: "POST", headers: { "Idempotency-Key": sent.key }, body });
    location.href = placed.tracking_url;
  } catch (error) { wrong.value = blame(form, error.problem) ? "" : error.message; busy.value = false; }
}

function Pick() {
  const ref = useRef(null);
  useEffect(() => {
    let end = () => {};
    makeMap(ref.current, { padding: 24, fallback: t("no_map_shop"), onTap: (at) => { door.value = at; wrong.value = ""; } }).then((map) => {
      if (!map) { mapless.value = true; return; }
      const stop = effect(() => {
        const { color, stores } = shop.value;
        map.places([...stores.map((s) => ({ id: s.id, kind: "store", name: s.name, lat: s.lat, lng: s.lng, color })),
          ...(door.value ? [{ id: "door", kind: "door", name: "", ...door.value, color, selected: true }] : [])]);
      });
      end = () => { stop(); map.remove(); };
    });
    return () => end();
  }, []);
  return html`<div class="pick" data-set=${Boolean(door.value)}><div ref=${ref}></div></div>`;
}
function Count({ dish }) {
  const n = basket.value[dish.id] ?? 0;
  if (!dish.available) return html`<span class="badge">${t("sold_out")}</span>`;
  return html`<div class="count" data-some=${n > 0}>${n > 0 && html`<button type="button" class="btn icon" aria-label=${t("less", dish)} onClick=${() => put(dish.id, -1)}><${Icon} name="minus"/></button><b class="num" aria-live="polite">${n}</b>`}
    <button type="button" class="btn icon" aria-label=${t("add", dish)} onClick=${() => put(dish.id, 1)}><${Icon} name="plus"/></button></div>`;
}
function Checkout() {
  const nothing = dishes.value.length ? "basket_empty" : "menu_empty";
  if (!lines.value.length) return html`<aside class="checkout" id="basket"><${Empty} title=${t(nothing)} hint=${t(`${nothing}_hint`)}/></aside>`;
  const { currency, delivery_base_fee_minor } = shop.value, cost = (minor) => money(minor, currency), known = fee.value !== null;
  const Line = ({ name, value, tone = "" }) => html`<div class=${tone}><dt>${name}</dt><dd class="num">${value}</dd></div>`;
  return html`<aside class="checkout" id="basket"><form onSubmit=${order}><h2>${t("basket")}</h2>
    <dl class="bill">${lines.value.map((line) => html`<${Line} key=${line.id} name=${`${line.quantity} × ${line.name}`} value=${cost(line.quantity * line.price_minor)}/>`)}
      <${Line} name=${t("delivery_fee")} value=${known ? cost(fee.value) : t("fee_from", { fee: cost(delivery_base_fee_minor) })} tone="soft"/>
      <${Line} name=${t("total")} value=${known ? cost(food.value + fee.value) : t("fee_from", { fee: cost(food.value + delivery_base_fee_minor) })} tone="sum"/></dl>
    <${Field} name="name" label=${t("your_name")} wrong=${faults.value.name} autocomplete="name" required maxlength="120"/>
    <${Field} name="phone" label=${t("phone")} wrong=${faults.value.phone} type="tel" autocomplete="tel" required maxlength="40" title=${t("phone_hint")} placeholder="+358 40 123 4567"/>
    <${Field} name="address" label=${t("address")} wrong=${faults.value.address} autocomplete="street-address" required maxlength="300"/>
    <div class="field"><span role="status">${door.value ? html`<b class="set"><${Icon} name="check"/>${t("door_set")}</b>` : t("pick_door")}</span><${Pick}/></div>
    <${Field} name="note" label=${t("note")} wrong=${faults.value.note} maxlength="500"/>
    <p role="alert">${wrong.value}</p>
    <button class="btn main" disabled=${busy.value || mapless.value}>${known ? t("order_now", { total: cost(food.value + fee.value) }) : t("order_cash")}</button></form></aside>`;
}
function Menu() {
  const pieces = lines.value.reduce((sum, line) => sum + line.quantity, 0);
  const known = new Set(sections.value.map((section) => section.id));
  const parts = [...sections.value.map((section) => [section.name, dishes.value.filter((dish) => dish.category_id === section.id)]),
    [known.size ? t("other_dishes") : t("menu"), dishes.value.filter((dish) => !known.has(dish.category_id))]].filter(([, list]) => list.length);
  return html`<div class="menu">${parts.map(([name, list]) => html`<section key=${name}><h2>${name}</h2><ul>${list.map((dish) => html`
    <li class="dish" key=${dish.id} data-off=${!dish.available}><div><h3>${dish.name}</h3>${dish.description && html`<p>${dish.description}</p>`}<span class="num">${money(dish.price_minor, shop.value.currency)}</span></div><${Count} dish=${dish}/></li>`)}</ul></section>`)}
    ${pieces > 0 && html`<a class="btn main bar" href="#basket"><b class="num">${pieces}</b><span>${t("see_basket")}</span><span class="num">${money(food.value, shop.value.currency)}</span></a>`}</div>`;
}
function Shop() {
  if (trouble.value) return html`<${Empty} as="main" title=${t(`shop_${trouble.value}`)} hint=${t(`shop_${trouble.value}_hint`)}/>`;
  if (!shop.value) return html`<${Empty} as="main" title=${t("loading")}/>`;
  const isOpen = shop.value.stores.some((store) => store.open_now);
  return html`<div class="shop"><header class="band"><div><h1>${shop.value.name}</h1><p><span class=${`badge ${isOpen ? "ok" : "bad"}`}>${t(isOpen ? "open_now" : "shop_closed")}</span>
      <span>${shop.value.stores.map((store) => store.address).join(" · ")}</span></p></div><${ThemeSwitch}/></header>
    <main class="cols"><${Menu}/><${Checkout}/></main></div>`;
}
render(html`<${Shop}/>`, document.getElementById("app"));
