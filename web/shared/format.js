// Times, money and distances as people of this language write them.
import { locale } from "./messages.js";

const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const ago = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const toSecond = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
const units = (unit, digits) => new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: digits });
const kmh = units("kilometer-per-hour", 0), meter = units("meter", 0), kilometer = units("kilometer", 1), hour = units("hour", 0), minute = units("minute", 0), second = units("second", 0);

export const count = (n) => whole.format(n);
export const percent = (part) => share.format(part);
export const time = (at) => (at ? clock.format(new Date(at)) : "");
export const range = ({ p50, p90 }) => clock.formatRange(new Date(p50), new Date(p90));
export function money(minor, currency) {
  const format = new Intl.NumberFormat(locale, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}
export const speed = (mps) => kmh.format(mps * 3.6);
export const exactly = (at) => toSecond.format(new Date(at));
export const meters = (m) => (m < 950 ? meter.format(Math.round(m / 10) * 10) : kilometer.format(m / 1000));
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return second.format(s);
  if (s < 3600) return minute.format(Math.floor(s / 60));
  return `${hour.format(Math.floor(s / 3600))} ${minute.format(Math.floor((s % 3600) / 60))}`;
}
export function since(ms, now) {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 5) return ago.format(0, "second");
  return s < 90 ? ago.format(-s, "second") : s < 5400 ? ago.format(-Math.round(s / 60), "minute") : ago.format(-Math.round(s / 3600), "hour");
}
