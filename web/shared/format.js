// Times, money and distances as people of this language write them.
import { language } from "./messages.js";

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

export const time = (at) => (at ? clock.format(new Date(at)) : "");
export const range = (eta) => (time(eta.p50) === time(eta.p90) ? time(eta.p50) : `${time(eta.p50)}–${time(eta.p90)}`);
export const money = (minor, currency) => {
  const format = new Intl.NumberFormat(language, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
};
export const meters = (m) => (m < 950 ? `${Math.round(m / 10) * 10} m` : `${(m / 1000).toFixed(1)} km`);
export const duration = (seconds) => {
  const s = Math.max(0, Math.round(seconds));
  return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
};
export const since = (ms, now) => (now - ms < 60_000 ? ago.format(-Math.round((now - ms) / 1000), "second") : ago.format(-Math.round((now - ms) / 60_000), "minute"));
