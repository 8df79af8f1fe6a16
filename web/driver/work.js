// What the driver sees and what he does next, pure: the server's last word, with all that he did since laid over it.
const ORDER = ["assigned", "en_route_to_pickup", "arrived_at_pickup", "picked_up", "en_route_to_dropoff", "arrived_at_dropoff", "delivered", "failed", "returning", "returned"];
const NEXT = {
  pickup: { assigned: "en_route_to_pickup", en_route_to_pickup: "arrived_at_pickup", arrived_at_pickup: "picked_up" },
  dropoff: { picked_up: "en_route_to_dropoff", en_route_to_dropoff: "arrived_at_dropoff", arrived_at_dropoff: "delivered" },
  return: { failed: "returning", returning: "returned" },
};
const ABOARD = new Set(["picked_up", "en_route_to_dropoff", "arrived_at_dropoff"]);
export const NEAR_M = 300;
const M_PER_DEGREE = 111_320;

export const rank = (status) => ORDER.indexOf(status);
export const nextStatus = (stop) => NEXT[stop.kind]?.[stop.status] ?? null;
export const canFail = (stop) => stop.kind === "dropoff" && ABOARD.has(stop.status);
// How the hand-over still has to be shown: photo, signature, pin or barcode; null when nothing is left but to say so.
export const proofLeft = (stop, pictured) => (nextStatus(stop) === "delivered" && !pictured.has(stop.delivery_id) ? stop.proof : null);

export const nothing = { driver: null, offers: [], version: -1, stops: [], notices: [], reached: {}, proofs: [], stores: {}, messages: [], move: null };

// The server said something: what is known now.
export function hear(state, message) {
  if (message.type === "welcome") {
    const { driver, offers, route, notices, messages, move } = message.state;
    return routed({ ...state, driver, offers, notices: notices ?? [], messages: messages ?? [], move: move ?? null, version: -1 }, route);
  }
  if (message.type === "route") return routed(state, message);
  if (message.type === "shift") return state.driver ? { ...state, driver: { ...state.driver, state: message.state, silent_since: message.silent_since } } : state;
  if (message.type === "offer") return { ...state, offers: [...state.offers.filter((one) => one.id !== message.offer.id), message.offer] };
  if (message.type === "message") return { ...state, messages: [...state.messages.filter((one) => one.id !== message.id), message] };
  if (message.type === "move") return { ...state, move: message.move };
  if (message.type === "offer_gone") return { ...state, offers: state.offers.filter((one) => one.id !== message.offer_id) };
  return state;
}
// A route may have been written before our last word was heard: what was confirmed since (`reached`) stays true. Where food came
// from is remembered, for it may have to go back there.
function routed(state, { version, stops }) {
  if (version < state.version) return state;
  const mine = new Set(stops.map((stop) => stop.delivery_id)), kept = (of) => Object.fromEntries(Object.entries(of).filter(([id]) => mine.has(id)));
  const stores = { ...state.stores, ...Object.fromEntries(stops.filter((stop) => stop.kind === "pickup").map((stop) => [stop.delivery_id, stop])) };
  return { ...state, version, stops, reached: kept(state.reached), proofs: state.proofs.filter((id) => mine.has(id)), stores: kept(stores) };
}

// The server confirmed what he did, or refused it for good.
export function settle(state, action, refused = false) {
  if (action.type === "proof_ref" && !refused) return { ...state, proofs: [...new Set([...state.proofs, action.delivery_id])] };
  if (action.type === "status" && refused) return { ...state, proofs: action.status === "delivered" ? state.proofs.filter((id) => id !== action.delivery_id) : state.proofs };
  if (action.type === "status") return { ...state, reached: { ...state.reached, [action.delivery_id]: action.status } };
  if (action.type === "availability" && !refused && state.driver) return { ...state, driver: { ...state.driver, state: action.state, silent_since: null } };
  if (action.type === "message" && !refused) return { ...state, messages: [...state.messages, written(action)] };
  if (action.type === "move_decline") return { ...state, move: state.move?.id === action.move_id ? null : state.move };
  if (action.type === "offer_reply") return { ...state, offers: state.offers.filter((one) => one.id !== action.offer_id) };
  return state;
}

const written = ({ id, delivery_id, channel, text, t }) => ({ id, delivery_id, channel, sender: "driver", name: "", text, at: new Date(t).toISOString() });

// What to show: { shift, silent, offers, stops, photographed, messages, move }; `silent`: he was taken off line for silence, not by himself. `actions`: what he did and nobody confirmed yet, oldest first.
export function picture(state, actions) {
  const reached = { ...state.reached }, photographed = new Set(state.proofs), replies = {};
  let shift = state.driver?.state ?? "offline", silent = Boolean(state.driver?.silent_since), move = state.move;
  for (const action of actions) {
    if (action.type === "status") reached[action.delivery_id] = action.status;
    if (action.type === "proof_ref") photographed.add(action.delivery_id);
    if (action.type === "availability") { shift = action.state; silent = false; }
    if (action.type === "move_decline" && move?.id === action.move_id) move = null;
    if (action.type === "offer_reply") replies[action.offer_id] = action.reply;
  }
  const statusOf = (stop) => { const mine = reached[stop.delivery_id]; return mine && rank(mine) > rank(stop.status) ? mine : stop.status; };
  const stops = state.stops.map((stop) => turn({ ...stop, status: statusOf(stop) }, state.stores)).filter(Boolean);
  if (shift !== "offline") shift = stops.length ? "busy" : shift === "busy" ? "available" : shift;
  const offers = state.offers.filter((one) => replies[one.id] !== "decline").map((one) => ({ ...one, answered: replies[one.id] === "accept" }));
  const messages = [...state.messages, ...actions.filter((action) => action.type === "message").map(written)];
  return { shift, silent, offers, stops, photographed, messages, move: shift === "available" ? move : null };
}
// A stop after what happened there: done with, still to go to, or turned into the way back.
function turn(stop, stores) {
  const failed = stop.status === "failed" || stop.status === "returning";
  if (stop.kind === "pickup") return rank(stop.status) < rank("picked_up") ? stop : null;
  if (stop.kind === "return") return stop.status === "returned" ? null : stop;
  if (failed) return stores[stop.delivery_id] ? { ...stores[stop.delivery_id], kind: "return", status: stop.status } : null;
  return rank(stop.status) < rank("delivered") ? stop : null;
}

export const onShift = (shift) => shift === "available" || shift === "busy";
export function metersTo(stop, at) {
  const x = (stop.lng - at.lng) * Math.cos((at.lat * Math.PI) / 180), y = stop.lat - at.lat;
  return Math.hypot(x, y) * M_PER_DEGREE;
}
// How closely to watch: idle without work, near within a few hundred metres of the next stop, else far.
export const nearness = (stops, at) => (!stops.length ? "idle" : at && metersTo(stops[0], at) <= NEAR_M ? "near" : "far");

// The phone's own map app: iPhones have no geo: links.
export function mapLink(stop, agent = navigator.userAgent) {
  const place = `${stop.lat},${stop.lng}`;
  return /iPhone|iPad|Macintosh/.test(agent) ? `https://maps.apple.com/?daddr=${place}` : `geo:${place}?q=${place}(${encodeURIComponent(stop.name || stop.address)})`;
}
