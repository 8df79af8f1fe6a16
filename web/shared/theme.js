// Light or dark: what the person chose, else what the device prefers.
import { signal } from "@preact/signals";

const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
const device = matchMedia("(prefers-color-scheme: dark)");
let chosen = kept === "dark" || kept === "light";
export const theme = signal(chosen ? kept : device.matches ? "dark" : "light");
theme.subscribe((value) => { document.documentElement.dataset.theme = value; });
device.addEventListener("change", (event) => { if (!chosen) theme.value = event.matches ? "dark" : "light"; });
export function switchTheme() {
  chosen = true;
  theme.value = theme.value === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", theme.value); } catch { /* private mode: it lasts as long as the page */ }
}
