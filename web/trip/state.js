// The trip that is shown, the moment of it, and the clock that plays it.
import { computed, effect, signal } from "@preact/signals";
import { token } from "../shared/session.js";
import { api } from "../shared/ui.js";
import { bands, placeAt } from "./replay.js";

if (!token) location.replace("/");

const asked = new URLSearchParams(location.search).get("delivery");
export const PACES = [1, 2, 5, 10, 30, 60], TICK_MS = 1000, ALL = "all", COLORS = ["#0f766e", "#b45309", "#1d4ed8", "#7e22ce", "#be123c"];
// `parts`: what was carried at the same time, when that was several; `part`: whose way is shown, one's id or ALL.
export const trip = signal(null), failure = signal(null), at = signal(0), playing = signal(false), pace = signal(10), parts = signal([]), part = signal(asked);
export const partOf = (id) => parts.value.find((one) => one.id === id);
const ms = (text) => Date.parse(text);
export const path = computed(() => trip.value?.path ?? []);
export const gaps = computed(() => (trip.value?.gaps ?? []).map((gap) => ({ ...gap, from: ms(gap.from_at), to: ms(gap.to_at) })));
export const start = computed(() => path.value[0]?.[0] ?? 0), end = computed(() => path.value.at(-1)?.[0] ?? 0);
export const ends = computed(() => bands(path.value));
export const place = computed(() => (path.value.length ? placeAt(path.value, gaps.value, at.value) : null));
// Stops and gaps in one list, as they came one after the other.
export const events = computed(() => [
  ...(trip.value?.stops ?? []).map((stop, n) => ({ ...stop, id: `stop-${n}`, from: ms(stop.arrived_at), to: ms(stop.left_at) })),
  ...gaps.value.map((gap, n) => ({ ...gap, kind: "gap", id: `gap-${n}` })),
].sort((a, b) => a.from - b.from));
export const current = computed(() => events.value.findLast((one) => one.from <= at.value && at.value <= one.to)?.id);

const pathOf = (id, form = "json") => `/deliveries/${encodeURIComponent(id === ALL ? asked : id)}/trip?whole=${id === ALL}&format=${form}`;
const fail = (error) => { failure.value = { kind: "wrong", words: error.message, signedOut: error.problem?.status === 401 }; };
export async function load() {
  if (!asked) { failure.value = { kind: "none" }; return; }
  try {
    const whole = await api(token, pathOf(ALL));
    if (whole.deliveries.length > 1) {
      parts.value = whole.deliveries.map((one, n) => ({ ...one, color: COLORS[n % COLORS.length] }));
      await show(asked);
    } else trip.value = whole;
    at.value = start.value;
  } catch (error) { fail(error); }
}
async function show(id) {
  part.value = id;
  const found = await api(token, pathOf(id));
  if (part.peek() === id) trip.value = found;
}
// The way of one delivery, or of all that were carried with it; the clock stays where it was, if that is a part of it.
export async function choose(id) {
  playing.value = false;
  try { await show(id); } catch (error) { fail(error); return; }
  seek(at.value);
  if (id !== ALL) history.replaceState(null, "", `?delivery=${encodeURIComponent(id)}`);
}
export const seek = (t) => { at.value = Math.min(end.value, Math.max(start.value, t)); };
export function toggle() {
  if (!playing.value && at.value >= end.value) at.value = start.value;
  playing.value = !playing.value;
}
// It flows; who asked for less motion gets it second by second.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
effect(() => {
  if (!playing.value) return undefined;
  let last = performance.now(), frame = 0;
  const step = (now) => {
    if (!calm.matches || now - last >= TICK_MS) {
      seek(at.peek() + (now - last) * pace.peek());
      last = now;
    }
    if (at.peek() >= end.peek()) playing.value = false; else frame = requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
});

// A file needs the token as everything does, so it comes by fetch and is handed over as a link to itself.
export async function save(form) {
  const reply = await fetch(`/api/v1${pathOf(part.value, form)}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!reply.ok) return;
  const url = URL.createObjectURL(await reply.blob());
  Object.assign(document.createElement("a"), { href: url, download: `trip-${trip.value.deliveries.map((one) => one.short_code).join("-")}.${form}` }).click();
  URL.revokeObjectURL(url);
}
