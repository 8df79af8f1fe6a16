// What the board knows and what the person looks at: the live object, the filters (kept in the URL), the order of the list.
import { computed, effect, signal } from "@preact/signals";
import { now } from "../shared/clock.js";
import { watch } from "../shared/live.js";
import { isSilent } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { forget, keep, token } from "../shared/session.js";

export const DONE = new Set(["delivered", "canceled", "failed", "returned"]);
export const SEEKING = new Set(["pending", "offered"]);
const ATTENTION_AFTER_S = 60;

addEventListener("hashchange", () => location.reload());
if (!token) location.replace("/");

export const said = signal("");
export const link = watch(token ?? "", {
  poll: "/api/v1/dispatch/board",
  onFacts(before, after, frame) {
    if (frame.type !== "delta" || !before) return;
    const was = new Map(before.deliveries.map((d) => [d.id, d.status]));
    const news = frame.changes.filter((c) => c.kind === "delivery" && was.get(c.id) !== c.status);
    if (news.length) said.value = news.map((d) => `${d.short_code}: ${t(`b_${d.status}`)}`).join(", ");
  },
});
export const board = link.facts;
let opened = false;
effect(() => {
  const state = link.state.value;
  if (!opened && (state === "live" || state === "polling")) { opened = true; keep(token); }
  if (state === "refused" || (state === "ended" && !board.peek())) forget(token);
});

const query = new URLSearchParams(location.search);
export const filters = { q: signal(query.get("q") ?? ""), business: signal(query.get("business") ?? ""), status: signal(query.get("status") ?? "") };
export const filtered = computed(() => Object.values(filters).some((filter) => filter.value));
effect(() => {
  const kept = new URLSearchParams(location.search);
  for (const [name, filter] of Object.entries(filters)) if (filter.value) kept.set(name, filter.value); else kept.delete(name);
  history.replaceState(null, "", location.pathname + (kept.size ? `?${kept}` : ""));
});

export const selected = signal(null);
export const colors = computed(() => Object.fromEntries((board.value?.businesses ?? []).map((b) => [b.id, b.color])));
const deliveriesById = computed(() => new Map((board.value?.deliveries ?? []).map((d) => [d.id, d])));
const driversById = computed(() => new Map((board.value?.drivers ?? []).map((d) => [d.id, d])));
export const deliveryOf = (id) => deliveriesById.value.get(id);
export const driverOf = (id) => driversById.value.get(id);

export const pickedUp = (d) => d.timeline.some((step) => step.status === "picked_up");
export const endedAt = (d) => d.timeline.at(-1)?.at;
export const waited_s = (d) => (now.value - Date.parse(d.created_at)) / 1000;
// Seconds after the promise: of what happened, of what is expected, or of this very moment.
export function late_s(d) {
  if (!d.promised_at || (DONE.has(d.status) && d.status !== "delivered")) return 0;
  const end = d.status === "delivered" ? Date.parse(endedAt(d)) : Math.max(now.value, Date.parse(d.eta?.dropoff.p50 ?? 0));
  return Math.max(0, (end - Date.parse(d.promised_at)) / 1000);
}
// Food aboard a driver who vanished is at risk, whatever was expected when he was heard of last.
const withVanished = computed(() => new Set((board.value?.alerts ?? []).flatMap((alert) => (alert.code === "driver_vanished" ? alert.data.delivery_ids : []))));
export const atRisk = (d) => !DONE.has(d.status) && (withVanished.value.has(d.id) || Boolean(d.eta && d.promised_at && Date.parse(d.eta.dropoff.p90) > Date.parse(d.promised_at)));
const needsHand = (d) => (d.status === "pending" && !d.planned_at && (d.unassigned_reason || waited_s(d) > ATTENTION_AFTER_S)) || (!DONE.has(d.status) && (late_s(d) > 0 || withVanished.value.has(d.id)));
const urgency = (d) => (SEEKING.has(d.status) ? 1e6 + waited_s(d) : late_s(d));
const groupOf = (d) => (DONE.has(d.status) ? "finished" : needsHand(d) ? "needs_attention" : "in_progress");

const matching = computed(() => {
  const text = filters.q.value.trim().toLowerCase(), business = filters.business.value, status = filters.status.value;
  const says = (d) => [d.short_code, d.dropoff.name, d.dropoff.address, d.pickup.name, d.driver_name, d.items].some((v) => v?.toLowerCase().includes(text));
  return (board.value?.deliveries ?? []).filter((d) => (!business || d.business_id === business) && (!status || d.status === status) && (!text || says(d)));
});

// While the pointer is on the list nothing moves: rows keep their place and group, and new ones join at the end.
export const held = signal(false);
let standing = new Map();
export const groups = computed(() => {
  const lists = { needs_attention: [], in_progress: [], finished: [] };
  const keep = held.value ? standing : new Map();
  for (const d of matching.value) lists[keep.get(d.id)?.group ?? groupOf(d)].push(d);
  lists.needs_attention.sort((a, b) => urgency(b) - urgency(a));
  lists.in_progress.sort((a, b) => a.created_at.localeCompare(b.created_at));
  lists.finished.sort((a, b) => endedAt(b).localeCompare(endedAt(a)));
  for (const list of Object.values(lists)) if (keep.size) list.sort((a, b) => (keep.get(a.id)?.place ?? 1e9) - (keep.get(b.id)?.place ?? 1e9));
  standing = new Map(Object.entries(lists).flatMap(([group, list]) => list.map((d, place) => [d.id, { group, place }])));
  return lists;
});

// The list is one Tab stop: the row last focused, else the one that is open, else the first.
export const finishedOpen = signal(false), focused = signal(null);
effect(() => { finishedOpen.value = Boolean(filters.status.value); });
export const tabStop = computed(() => {
  const { needs_attention, in_progress, finished } = groups.value;
  const ids = [...needs_attention, ...in_progress, ...(finishedOpen.value ? finished : [])].map((d) => d.id);
  return [focused.value, selected.value].find((id) => ids.includes(id)) ?? ids[0];
});

export const numbers = computed(() => {
  const deliveries = board.value?.deliveries ?? [], drivers = board.value?.drivers ?? [];
  const open = deliveries.filter((d) => !DONE.has(d.status)), delivered = deliveries.filter((d) => d.status === "delivered");
  const judged = [...open, ...delivered].filter((d) => d.promised_at), late = judged.filter((d) => late_s(d) > 0).length;
  const by = Object.fromEntries(["available", "busy", "on_break"].map((state) => [state, drivers.filter((d) => d.state === state).length]));
  return {
    open: open.length, unassigned: open.filter((d) => SEEKING.has(d.status)).length, delivered: delivered.length, by,
    inTime: judged.length ? (judged.length - late) / judged.length : null,
  };
});
export const silentDrivers = computed(() => (link.view.value?.drivers ?? []).filter((d) => d.state !== "offline" && isSilent(d, now.value)).length);

// The line of a delivery or of a driver's next one: where he is, what he still has to reach.
export function wayOf(id, drivers) {
  const d = deliveryOf(id) ?? board.value?.deliveries.find((one) => one.driver_id === id && !DONE.has(one.status));
  if (!d) return [];
  const at = DONE.has(d.status) ? null : drivers.find((driver) => driver.id === d.driver_id)?.position;
  return [...(at ? [at] : []), ...(at && pickedUp(d) ? [] : [d.pickup]), d.dropoff];
}
