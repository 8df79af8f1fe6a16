// What is shown: filters that live in the URL, so that a view can be bookmarked, shared and gone back to.
import { computed, effect, signal } from "@preact/signals";
import { now } from "../shared/clock.js";
import { loadZones, looksAt, within } from "./areas.js";

// `due`: "30" or "60" minutes to the promise, "hour" or "today" since it was placed. `area`: corners, see areas.js. `zone`: a paused one's id.
// `off`: "hide" leaves out drivers who are off shift or on a break.
const NAMES = ["q", "due", "business", "status", "driver", "area", "zone", "off"];
export const DUE = ["30", "60", "hour", "today"];
const query = new URLSearchParams(location.search);
export const filters = Object.fromEntries(NAMES.map((name) => [name, signal(query.get(name) ?? "")]));
export const active = computed(() => NAMES.filter((name) => filters[name].value));
export const clearFilters = () => { for (const filter of Object.values(filters)) filter.value = ""; };
effect(() => {
  const kept = new URLSearchParams(location.search);
  for (const name of NAMES) if (filters[name].value) kept.set(name, filters[name].value); else kept.delete(name);
  history.replaceState(null, "", location.pathname + (kept.size ? `?${kept}` : ""));
});

// What the map and the lists are kept to.
export const areas = looksAt(filters);
if (filters.zone.peek()) loadZones();

const MINUTE_MS = 60_000;
const midnight = (at) => new Date(at).setHours(0, 0, 0, 0);
const DUE_TESTS = {
  30: (d, at) => Date.parse(d.promised_at) - at <= 30 * MINUTE_MS,
  60: (d, at) => Date.parse(d.promised_at) - at <= 60 * MINUTE_MS,
  hour: (d, at) => at - Date.parse(d.created_at) <= 60 * MINUTE_MS,
  today: (d, at) => Date.parse(d.created_at) >= midnight(at),
};
const words = computed(() => filters.q.value.trim().toLowerCase());
const says = (texts) => !words.value || texts.some((text) => text?.toLowerCase().includes(words.value));

export function matches(d) {
  const { due, business, status, driver } = filters;
  return (!business.value || d.business_id === business.value) && (!status.value || d.status === status.value)
    && (!driver.value || d.driver_id === driver.value || d.offer?.driver_id === driver.value)
    && (!DUE_TESTS[due.value] || DUE_TESTS[due.value](d, now.value))
    && within(areas.value, d.pickup, d.dropoff)
    && says([d.short_code, d.dropoff.name, d.dropoff.address, d.pickup.name, d.driver_name, d.items]);
}
export const onShift = (driver) => driver.state === "available" || driver.state === "busy";
export function matchesDriver(driver) {
  const { business, off, driver: one } = filters;
  return (off.value !== "hide" || onShift(driver)) && (!one.value || driver.id === one.value)
    && (!business.value || driver.pool !== "dedicated" || driver.business_ids.includes(business.value))
    && within(areas.value, driver.position) && says([driver.name]);
}
