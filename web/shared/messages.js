// Message catalogs: every text a person reads on the live pages, by language. English is the fallback for what a catalog lacks.
const en = {
  live: "Live", connecting: "Connecting …", lost: "No connection since {time}", refused: "Not allowed: {why}",
  light: "Light", dark: "Dark", theme: "Switch between light and dark",
  open: "open", unassigned: "unassigned", in_time: "in time", delivered_today: "delivered", drivers: "drivers",
  search: "Search code, name or address", all_businesses: "All businesses", all_statuses: "All statuses",
  needs_attention: "Needs attention", in_progress: "In progress", finished: "Finished",
  no_deliveries: "No deliveries yet", no_deliveries_hint: "They appear here the moment a customer orders or a delivery is created through the API.",
  nothing_matches: "Nothing matches", nothing_matches_hint: "Change the search or the filters.",
  all_calm: "All is calm: every open delivery has a driver.",
  waiting: "waiting {time}", offered_to: "offered to {name}", a_pool_driver: "a pool driver", late: "late", eta: "at the door {range}", promised: "promised {time}",
  pickup: "Pickup", dropoff: "Drop-off", driver: "Driver", timeline: "Timeline", why_driver: "Why this driver?", why_nobody: "Why nobody yet?",
  terms: "Cost terms in seconds", runners_up: "Runners-up", left_out: "Left out", loading: "Loading …", no_decision: "No decision yet.",
  tracking_page: "Open the customer's page", cancel: "Cancel delivery", cancel_sure: "Cancel delivery {code}?", close: "Close", attempts: "{n} offers so far",
  carries: "Carries", nothing: "nothing", pool_dedicated: "dedicated", pool_shared_pool: "shared pool", seen: "seen {time}", never_seen: "no position yet", items: "Items",
  map_label: "Map of drivers, stores and doors; the lists beside it tell the same.", no_map: "This browser can't draw the map. The lists tell the same.", no_map_here: "No map is imported here. The lists tell the same.",
  sign_in: "Sign in", email: "E-mail", password: "Password", sign_in_failed: "Wrong e-mail or password.", sign_out: "Sign out", welcome: "Deliveries, dispatched and tracked live.",
  arriving: "Arriving {range}", arriving_about: "Arriving about {time}", delivered_at: "Delivered at {time}", stops_before: "{n} stop before you|{n} stops before you", next_stop: "You are the next stop",
  courier: "Your courier", courier_soon: "You will see the courier here as soon as one is on the way to you.", your_order: "Your order", delivery_fee: "Delivery", tip: "Tip", total: "Total", pay_cash: "Pay in cash at the door",
  proof: "Proof of delivery", way: "The way to you", other_stop: "Another stop", link_wrong: "This link does not work", link_wrong_hint: "It may be incomplete, or have ended a day after the delivery. Open it again from your message.",
  s_placed: "Order received", s_accepted: "Accepted by the kitchen", s_preparing: "Being prepared", s_ready: "Ready", s_rejected: "The shop could not take the order",
  s_pending: "Looking for a courier", s_offered: "Offered to a courier", s_assigned: "Courier found", s_en_route_to_pickup: "Courier on the way to the store",
  s_arrived_at_pickup: "Courier at the store", s_picked_up: "Picked up", s_en_route_to_dropoff: "On the way to you", s_arrived_at_dropoff: "At your door", s_delivered: "Delivered",
  s_canceled: "Canceled", s_failed: "Could not be delivered", s_returning: "Being brought back", s_returned: "Brought back",
  b_pending: "unassigned", b_offered: "offered", b_assigned: "assigned", b_en_route_to_pickup: "to pickup", b_arrived_at_pickup: "at pickup", b_picked_up: "picked up",
  b_en_route_to_dropoff: "to door", b_arrived_at_dropoff: "at door", b_delivered: "delivered", b_canceled: "canceled", b_failed: "failed", b_returning: "returning", b_returned: "returned",
  d_available: "available", d_busy: "busy", d_on_break: "on a break", d_offline: "off line", v_bicycle: "bicycle", v_scooter: "scooter", v_car: "car", v_foot: "on foot",
  by_driver: "by the driver", by_geofence: "by the fence", by_dispatcher: "by the dispatcher", by_system: "", by_business: "",
  add: "Add", basket: "Basket", basket_empty: "Your basket is empty", basket_empty_hint: "Choose something good.", your_name: "Your name", phone: "Telephone (+358 …)", address: "Address", pick_door: "Tap the map where your door is",
  order_now: "Order and pay in cash · {total}", shop_closed: "Closed now", open_now: "Open now", shop_missing: "There is no shop at this address", shop_missing_hint: "Check the link: /shop/?s=the-shop's-name.", subtotal: "Subtotal", fee_estimate: "Delivery from {fee}",
  t_lateness: "lateness", t_pickup_wait: "food waits", t_empty_travel: "way to the store", t_driver_wait: "driver waits", t_dedicated_first: "own drivers first", t_fairness: "fair share",
  x_busy: "busy", x_stale_position: "silent", x_other_business: "other business", x_wrong_pool: "pool not used", x_declined_before: "declined or missed it", x_too_far: "too far", x_beyond_nearest: "farther away",
};
const fi = {
  live: "Yhteydessä", connecting: "Yhdistetään …", lost: "Ei yhteyttä, viimeksi {time}", light: "Vaalea", dark: "Tumma", theme: "Vaihda vaalean ja tumman välillä",
  arriving: "Perillä {range}", arriving_about: "Perillä noin {time}", delivered_at: "Toimitettu {time}", stops_before: "{n} pysähdys ennen sinua|{n} pysähdystä ennen sinua", next_stop: "Olet seuraava pysähdys",
  courier: "Kuljettajasi", courier_soon: "Näet kuljettajan tässä heti, kun hän on matkalla luoksesi.", your_order: "Tilauksesi", delivery_fee: "Toimitus", tip: "Tippi", total: "Yhteensä", pay_cash: "Maksa ovella käteisellä",
  proof: "Toimituskuva", way: "Matka luoksesi", other_stop: "Muu pysähdys", timeline: "Vaiheet", pickup: "Nouto", dropoff: "Perillä", link_wrong: "Linkki ei toimi", link_wrong_hint: "Se voi olla vajaa tai päättynyt. Avaa se uudelleen viestistäsi.",
  s_placed: "Tilaus vastaanotettu", s_accepted: "Keittiö hyväksyi", s_preparing: "Valmistetaan", s_ready: "Valmis", s_rejected: "Kauppa ei voinut ottaa tilausta",
  s_pending: "Etsitään kuljettajaa", s_offered: "Tarjottu kuljettajalle", s_assigned: "Kuljettaja löytyi", s_en_route_to_pickup: "Kuljettaja matkalla noutoon",
  s_arrived_at_pickup: "Kuljettaja noutopaikalla", s_picked_up: "Noudettu", s_en_route_to_dropoff: "Matkalla luoksesi", s_arrived_at_dropoff: "Ovellasi", s_delivered: "Toimitettu",
  s_canceled: "Peruttu", s_failed: "Ei voitu toimittaa", s_returning: "Palautetaan", s_returned: "Palautettu", v_bicycle: "polkupyörä", v_scooter: "skootteri", v_car: "auto", v_foot: "jalan",
  open: "auki", unassigned: "jakamatta", in_time: "ajoissa", delivered_today: "toimitettu", drivers: "kuljettajaa", needs_attention: "Vaatii huomiota", in_progress: "Käynnissä", finished: "Valmiit",
  sign_in: "Kirjaudu", email: "Sähköposti", password: "Salasana", sign_in_failed: "Väärä sähköposti tai salasana.", no_map: "Selain ei voi piirtää karttaa. Luettelot kertovat saman.",
};
const catalogs = { en, fi };
const asked = new URLSearchParams(location.search).get("lang") || navigator.language || "en";
export const language = catalogs[asked.slice(0, 2)] ? asked.slice(0, 2) : "en";
document.documentElement.lang = language;

// t("stops_before", { n: 2 }): fills in {n}; "one|many" picks by n. A missing text shows its key, so a test can find it.
export function t(key, values = {}) {
  let text = catalogs[language][key] ?? en[key] ?? key;
  if (text.includes("|")) text = text.split("|")[values.n === 1 ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
