// The server's time, as far as this device can know it: a wrong clock on a desk must not make every courier look silent.
import { signal } from "@preact/signals";

let skew_ms = 0;
export const serverNow = () => Date.now() + skew_ms;
export function hearServerTime(at) {
  skew_ms = new Date(at) - Date.now() || 0;
  now.value = serverNow();
}
// Ticks once a second for everything that says "waiting 2 min".
export const now = signal(Date.now());
setInterval(() => { now.value = serverNow(); }, 1000);
