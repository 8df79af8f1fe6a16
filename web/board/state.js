// What the board knows and what the person looks at: the live object, what is chosen, the order of the lists.
import { computed, effect, signal } from "@preact/signals";
import { now } from "../shared/clock.js";
import { watch } from "../shared/live.js";
import { isSilent } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { forget, keep, token } from "../shared/session.js";
import { filters, matches, matchesDriver } from "./filters.js";

export const DONE = new Set(["delivered", "canceled", "failed", "returned"]);
export const SEEKING = new Set(["pending", "offered"]);

addEventListener("hashchange", () => location.reload());
if (!token) location.replace("/");

// What is read out to who does not look: the last few, for one may follow another before it was heard.
const SAYINGS_MAX = 20;
export const sayings = signal([]);
export const say = (text) => { sayings.value = [...sayings.peek(), { n: (sayings.peek().at(-1)?.n ?? 0) + 1, text }].slice(-SAYINGS_MAX); };
export const link = watch(token ?? "", {
  poll: "/api/v1/dispatch/board",
  onFacts(before, after, frame) {
    if (frame.type !== "delta" || !before) return;
    const was = new Map(before.deliveries.map((d) => [d.id, d.status]));
    const news = frame.changes.filter((c) => c.kind === "delivery" && was.get(c.id) !== c.status);
    if (news.length) say(news.map((d) => `${d.short_code}: ${t(`b_${d.status}`)}`).join(", "));
  },
});
export const board = link.facts;
let opened = false;
effect(() => {
  const state = link.state.value;
  if (!opened && (state === "live" || state === "polling")) { opened = true; keep(token); }
  if (state === "refused" || (state === "ended" && !board.peek())) forget(token);
});

// `selected`: what the panel shows. `pointed`: what the pointer or the focus is on, in the list or on the map.
export const selected = signal(null), pointed = signal(null), tab = signal("deliveries");
const list = (name) => computed(() => board.value?.[name] ?? []);
const deliveries = list("deliveries");
export const drivers = list("drivers");
export const colors = computed(() => Object.fromEntries((board.value?.businesses ?? []).map((b) => [b.id, b.color])));
const byId = (all) => computed(() => new Map(all.value.map((one) => [one.id, one])));
const deliveriesById = byId(deliveries), driversById = byId(drivers);
export const deliveryOf = (id) => deliveriesById.value.get(id);
export const driverOf = (id) => driversById.value.get(id);

export const pickedUp = (d) => d.timeline.some((step) => step.status === "picked_up");
export const movable = (d) => !DONE.has(d.status) && !pickedUp(d);
export const endedAt = (d) => d.timeline.at(-1)?.at;
export const waited_s = (d) => (now.value - Date.parse(d.created_at)) / 1000;
// Seconds after the promise: of what happened, of what is expected, or of this very moment.
export function late_s(d) {
  if (!d.promised_at || (DONE.has(d.status) && d.status !== "delivered")) return 0;
  const end = d.status === "delivered" ? Date.parse(endedAt(d)) : Math.max(now.value, Date.parse(d.eta?.dropoff.p50 ?? 0));
  return Math.max(0, (end - Date.parse(d.promised_at)) / 1000);
}
// Food aboard a driver who vanished is at risk, whatever was expected when he was heard of last.
export const withVanished = computed(() => new Set((board.value?.alerts ?? []).flatMap((alert) => (alert.code === "driver_vanished" ? alert.data.delivery_ids : []))));
// The server says from when on, and why.
export const atRisk = (d) => withVanished.value.has(d.id) || (Boolean(d.risk) && now.value >= Date.parse(d.risk.from));
const groupOf = (d) => (DONE.has(d.status) ? "finished" : SEEKING.has(d.status) ? "waiting_list" : atRisk(d) ? "late_risk" : "in_progress");

// Most urgent first: who has the least time left before it is too late; what is late by most; what is due next; what ended last.
const ORDER = {
  waiting_list: (a, b) => (a.risk?.from ?? a.promised_at).localeCompare(b.risk?.from ?? b.promised_at),
  late_risk: (a, b) => late_s(b) - late_s(a) || a.promised_at.localeCompare(b.promised_at),
  in_progress: (a, b) => a.promised_at.localeCompare(b.promised_at),
  finished: (a, b) => endedAt(b).localeCompare(endedAt(a)),
};
export const matching = computed(() => deliveries.value.filter(matches));
export const matchingDrivers = computed(() => drivers.value.filter(matchesDriver).sort((a, b) => a.name.localeCompare(b.name)));
export const hiddenCount = computed(() => deliveries.value.length - matching.value.length);

// While the pointer is on the list nothing moves: rows keep their place and group, and new ones join at the end.
export const held = signal(false);
let standing = new Map();
export const groups = computed(() => {
  const lists = { waiting_list: [], late_risk: [], in_progress: [], finished: [] };
  const kept = held.value ? standing : new Map();
  for (const d of matching.value) lists[kept.get(d.id)?.group ?? groupOf(d)].push(d);
  for (const [name, rows] of Object.entries(lists)) {
    rows.sort((a, b) => ORDER[name](a, b) || a.id.localeCompare(b.id));
    if (kept.size) rows.sort((a, b) => (kept.get(a.id)?.place ?? 1e9) - (kept.get(b.id)?.place ?? 1e9));
  }
  standing = new Map(Object.entries(lists).flatMap(([group, rows]) => rows.map((d, place) => [d.id, { group, place }])));
  return lists;
});

// The list is one Tab stop: the row last focused, else the one that is open, else the first.
export const finishedOpen = signal(false), focused = signal(null);
effect(() => { finishedOpen.value = Boolean(filters.status.value); });
export const order = computed(() => Object.entries(groups.value).flatMap(([name, rows]) => (name === "finished" && !finishedOpen.value ? [] : rows.map((d) => d.id))));
export const tabStop = computed(() => [focused.value, selected.value].find((id) => order.value.includes(id)) ?? order.value[0]);

export const counts = computed(() => {
  const open = deliveries.value.filter((d) => !DONE.has(d.status));
  const by = Object.fromEntries(["available", "busy", "on_break"].map((state) => [state, drivers.value.filter((d) => d.state === state).length]));
  return { open: open.length, waiting: open.filter((d) => SEEKING.has(d.status)).length, risk: open.filter(atRisk).length, by };
});
// Once a second, not with every position.
export const silentDrivers = computed(() => { const at = now.value; return (link.view.peek()?.drivers ?? []).filter((d) => d.state !== "offline" && isSilent(d, at)).length; });
export const positionOf = (id) => link.view.peek()?.drivers.find((driver) => driver.id === id)?.position;

// The line of an idle driver to where he was told to wait.
const toWait = (driver) => (driver?.position && driver.move ? [driver.position, driver.move] : []);
// The line of a delivery or of a driver's next one: where he is, what he still has to reach.
export function wayOf(id, all) {
  const d = deliveryOf(id) ?? deliveries.value.find((one) => one.driver_id === id && !DONE.has(one.status));
  if (!d) return toWait(all.find((driver) => driver.id === id));
  const at = DONE.has(d.status) ? null : all.find((driver) => driver.id === d.driver_id)?.position;
  return [...(at ? [at] : []), ...(at && pickedUp(d) ? [] : [d.pickup]), d.dropoff];
}
