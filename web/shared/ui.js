// Small parts that several pages show.
import { h, render } from "preact";
import { signal } from "@preact/signals";
import htm from "htm";
import { theme, switchTheme } from "./theme.js";
import { time } from "./format.js";
import { t } from "./messages.js";

export const html = htm.bind(h);
export { h, render, signal };

export const now = signal(Date.now());
setInterval(() => { now.value = Date.now(); }, 1000);

export function LinkState({ link }) {
  const state = link.state.value;
  const text = state === "lost" ? t("lost", { time: time(link.lostAt.value) }) : state === "refused" ? t("refused", { why: link.why.value }) : t(state);
  return html`<span class="link-state" data-state=${state} role="status"><i aria-hidden="true"></i>${text}</span>`;
}
export function ThemeSwitch() {
  return html`<button class="btn icon" aria-label=${t("theme")} title=${t("theme")} onClick=${switchTheme}>${theme.value === "dark" ? "☀" : "☾"}</button>`;
}
export function Timeline({ steps, prefix }) {
  return html`<ol class="timeline">${[...steps].reverse().map((step) => html`
    <li key=${step.status + step.at}><span>${t(prefix + step.status)}${step.source && t("by_" + step.source) ? html`<small>${t("by_" + step.source)}</small>` : null}</span><time class="num" datetime=${step.at}>${time(step.at)}</time></li>`)}</ol>`;
}
// Calls the API with the page's token; throws an Error with the problem's own words.
export async function api(token, path, options = {}) {
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(options.body ? { "Content-Type": "application/json" } : {}), ...options.headers };
  const reply = await fetch("/api/v1" + path, { ...options, headers, body: options.body ? JSON.stringify(options.body) : undefined });
  const body = reply.status === 204 ? null : await reply.json();
  if (!reply.ok) throw Object.assign(new Error(body.detail || body.title), { problem: body });
  return body;
}
