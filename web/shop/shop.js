// A shop's own page: food first, an honest price, one page to the order, then the tracking link.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { html, render, signal, api, ThemeSwitch } from "../shared/ui.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { money } from "../shared/format.js";

const subdomain = new URLSearchParams(location.search).get("s") ?? "";
const shop = signal(null), menu = signal([]), missing = signal(false), basket = signal({}), door = signal(null), wrong = signal(""), busy = signal(false);
const key = crypto.randomUUID?.() ?? String(Math.random());

(async () => {
  try {
    shop.value = await api(null, `/storefronts/${encodeURIComponent(subdomain)}`);
    menu.value = (await api(null, `/storefronts/${encodeURIComponent(subdomain)}/products?limit=100`)).data;
    document.title = shop.value.name;
    document.documentElement.style.setProperty("--shop", shop.value.color);
  } catch { missing.value = true; }
})();

const put = (id, by) => { const n = Math.max(0, (basket.value[id] ?? 0) + by); basket.value = { ...basket.value, [id]: n }; };
const lines = () => menu.value.filter((p) => basket.value[p.id]).map((p) => ({ ...p, quantity: basket.value[p.id] }));
const subtotal = () => lines().reduce((sum, l) => sum + l.quantity * l.price_minor, 0);

async function order(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  if (!door.value) { wrong.value = t("pick_door"); return; }
  busy.value = true; wrong.value = "";
  try {
    const placed = await api(null, "/customers/guest-checkout", { method: "POST", headers: { "Idempotency-Key": key }, body: {
      subdomain, items: lines().map((l) => ({ product_id: l.id, quantity: l.quantity })), customer: { name: fields.get("name"), phone: fields.get("phone") },
      dropoff: { address: fields.get("address"), lat: door.value.lat, lng: door.value.lng }, payment_method: "cash" } });
    location.href = placed.tracking_url;
  } catch (error) { wrong.value = error.message; } finally { busy.value = false; }
}
function Pick() {
  const ref = useRef(null);
  useEffect(() => {
    makeMap(ref.current, { padding: 20, onTap: ({ lat, lng }) => { door.value = { lat, lng }; } }).then((map) => map && effect(() => {
      map.places([...shop.value.stores.map((s) => ({ ...s, kind: "store", color: shop.value.color })), ...(door.value ? [{ id: "door", kind: "door", name: "", ...door.value, color: shop.value.color, selected: true }] : [])]);
    }));
  }, []);
  return html`<div class="pick"><div ref=${ref}></div></div>`;
}
function Checkout() {
  const chosen = lines();
  if (!chosen.length) return html`<aside class="checkout"><div class="empty"><strong>${t("basket_empty")}</strong>${t("basket_empty_hint")}</div></aside>`;
  const s = shop.value;
  return html`<form class="checkout" onSubmit=${order}><h2>${t("basket")}</h2>
    ${chosen.map((l) => html`<div class="line"><span>${l.quantity} × ${l.name}</span><span class="num">${money(l.quantity * l.price_minor, s.currency)}</span></div>`)}
    <small>${t("fee_estimate", { fee: money(s.delivery_base_fee_minor, s.currency) })}</small>
    <label class="field">${t("your_name")}<input name="name" autocomplete="name" required maxlength="120"/></label>
    <label class="field">${t("phone")}<input name="phone" type="tel" autocomplete="tel" required maxlength="40"/></label>
    <label class="field">${t("address")}<input name="address" autocomplete="street-address" required maxlength="300"/></label>
    <div class="field">${t("pick_door")}<${Pick}/></div>
    <p role="alert">${wrong.value}</p>
    <button class="btn main" disabled=${busy.value}>${t("order_now", { total: money(subtotal() + s.delivery_base_fee_minor, s.currency) + " +" })}</button></form>`;
}
function Shop() {
  if (missing.value) return html`<main class="empty"><strong>${t("shop_missing")}</strong>${t("shop_missing_hint")}</main>`;
  if (!shop.value) return html`<main class="empty" role="status">${t("loading")}</main>`;
  const open = shop.value.stores.some((s) => s.open_now);
  return html`<main class="shop"><header><h1>${shop.value.name}</h1><p><span class=${"badge " + (open ? "ok" : "bad")}>${t(open ? "open_now" : "shop_closed")}</span> ${shop.value.stores.map((s) => s.address).join(" · ")} <${ThemeSwitch}/></p></header>
    <div class="cols"><section class="menu">${menu.value.map((p) => html`<article class="dish" key=${p.id}><div><b>${p.name}</b><span class="num">${money(p.price_minor, shop.value.currency)}</span></div>
      <div class="count">${basket.value[p.id] ? html`<button class="btn icon" aria-label=${"− " + p.name} onClick=${() => put(p.id, -1)}>−</button><b class="num">${basket.value[p.id]}</b>` : null}<button class="btn icon" aria-label=${t("add") + " " + p.name} onClick=${() => put(p.id, 1)}>+</button></div></article>`)}</section>
      <${Checkout}/></div></main>`;
}
render(html`<${Shop}/>`, document.getElementById("app"));
