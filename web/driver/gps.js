// Where the phone is: watched while he works, closely near a stop and seldom without work; the screen stays on meanwhile.
import { effect, signal } from "@preact/signals";
import { nearness } from "./work.js";

const QUIET_MS = 15_000, TICK_MS = 250, OPTIONS = { enableHighAccuracy: true, maximumAge: 0, timeout: 30_000 };

// The newest reading { lat, lng, ... } and what is wrong: "", "denied" or "unavailable".
export const at = signal(null), trouble = signal("");
let battery = null;
navigator.getBattery?.().then((found) => { battery = found; }, () => {});

const round = (value, digits) => (value === null || value === undefined || Number.isNaN(value) ? undefined : Number(value.toFixed(digits)));
function reading({ coords, timestamp }) {
  return {
    t: Math.round(timestamp), lat: round(coords.latitude, 6), lng: round(coords.longitude, 6), acc: round(coords.accuracy, 1),
    spd: round(coords.speed, 1), hdg: round(coords.heading, 0), alt: round(coords.altitude, 0), bat: battery ? Math.round(battery.level * 100) : undefined, src: "web",
  };
}

// Calls `onFix` at most once a period while `working` is true. `stops`, `period_ms`: signals.
export function follow({ working, stops, period_ms, onFix }) {
  let watching = null, ticking = 0, kept_t = 0, kept_at = -Infinity;
  const see = (position) => { trouble.value = ""; at.value = reading(position); };
  const fail = (error) => { trouble.value = error.code === error.PERMISSION_DENIED ? "denied" : "unavailable"; };
  const tick = () => {
    const now = performance.now(), period = period_ms.value[nearness(stops.value, at.value)], fix = at.value;
    if (now - kept_at < period) return;
    if (fix && fix.t !== kept_t) { kept_t = fix.t; kept_at = now; onFix(fix); return; }
    // A phone that lies still tells nothing by itself; its driver is there all the same.
    if (now - kept_at > Math.max(QUIET_MS, period)) { kept_at = now; navigator.geolocation.getCurrentPosition(see, fail, OPTIONS); }
  };
  return effect(() => {
    if (working.value && watching === null) {
      watching = navigator.geolocation.watchPosition(see, fail, OPTIONS);
      ticking = setInterval(tick, TICK_MS);
    } else if (!working.value && watching !== null) {
      navigator.geolocation.clearWatch(watching);
      clearInterval(ticking);
      watching = null;
      trouble.value = "";
    }
  });
}

// The screen stays on while he works; the browser lets go whenever the page is hidden, and is asked again when it is seen.
export function stayAwake(working) {
  let lock = null;
  const ask = async () => {
    if (!working.peek() || document.hidden || !navigator.wakeLock) return;
    try { lock = await navigator.wakeLock.request("screen"); } catch { /* low battery: the phone decides */ }
  };
  document.addEventListener("visibilitychange", ask);
  effect(() => { if (working.value) ask(); else { lock?.release(); lock = null; } });
}
