// Small parts that several pages show, and the one way they call the API.
import { h, render } from "preact";
import { signal } from "@preact/signals";
import htm from "htm";
import { now } from "./clock.js";
import { theme, switchTheme } from "./theme.js";
import { time } from "./format.js";
import { has, t } from "./messages.js";

export const html = htm.bind(h);
export { now, render, signal };

const STROKES = {
  close: "M6 6l12 12M18 6 6 18", sun: "M12 4V2M12 22v-2M4 12H2M22 12h-2M6.3 6.3 4.9 4.9M19.1 19.1l-1.4-1.4M6.3 17.7l-1.4 1.4M19.1 4.9l-1.4 1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z", out: "M14 4H5v16h9M10 12h11m-4-4 4 4-4 4", away: "M7 17 17 7M8 7h9v9",
  search: "M16.5 16.5 21 21M18 11a7 7 0 1 1-14 0 7 7 0 0 1 14 0Z", check: "m5 12.5 4.5 4.5L19 7.5", plus: "M12 5v14M5 12h14", minus: "M5 12h14",
  note: "M5 4h14v12l-4 4H5V4Zm4 5h6m-6 4h3", cash: "M3 7h18v10H3V7Zm9 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z", down: "m6 9 6 6 6-6", replay: "M4 5v5h5M4.6 10a8 8 0 1 1-.4 4",
  camera: "M4 8h3l2-3h6l2 3h3v11H4V8Zm8 8a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4Z",
  play: "M7 4.5v15l12-7.5-12-7.5Z", pause: "M8 5v14M16 5v14", phone: "M8 2.5h8v19H8v-19Zm3 16h2",
  alert: "M12 4 2.5 20h19L12 4Zm0 6v5m0 2.4v.1",
  funnel: "M4 5h16l-6 7.5V19l-4 1.5v-8Z", rules: "M4 7h9m6 0h1M4 17h1m6 0h9M16 7a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0ZM8 17a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z", frame: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4",
};
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${STROKES[name]}/></svg>`;
}

// The same marks as on the map: a dark ring, the state by shape and colour, dashed when silent.
export function DriverMark({ state, silent = false }) {
  return html`<svg class="mark" data-state=${state} data-silent=${silent} viewBox="0 0 16 16" aria-hidden="true">
    ${state === "busy" ? html`<path class="ring" d="M8 1.5 13.5 14 8 11.2 2.5 14Z"/>` : html`<circle class="ring" cx="8" cy="8" r="6"/>`}
    ${state === "available" && !silent && html`<circle class="core" cx="8" cy="8" r="3.4"/>`}
    ${state === "on_break" && html`<path class="bars" d="M6.4 5.6v4.8M9.6 5.6v4.8"/>`}</svg>`;
}

export function LinkState({ link }) {
  const state = link.state.value, text = state === "lost" ? t("lost", { time: time(link.lostAt.value) }) : t(state);
  return html`<span class="link-state" data-state=${state} role="status"><i aria-hidden="true"></i><span>${text}</span></span>`;
}
export function ThemeSwitch() {
  const dark = theme.value === "dark";
  return html`<button class="btn icon quiet" aria-label=${t("theme")} title=${t("theme")} onClick=${switchTheme}><${Icon} name=${dark ? "sun" : "moon"}/></button>`;
}
export function Empty({ title, hint, children, as = "div" }) {
  return html`<${as} class="empty"><img src="/web/shared/icon.svg" alt=""/>${as === "main" ? html`<h1>${title}</h1>` : html`<strong>${title}</strong>`}<span role="status">${hint}</span>${children}</${as}>`;
}
export function Timeline({ steps, prefix }) {
  const by = (step) => (step.source && has(`by_${step.source}`) ? html`<small>${t(`by_${step.source}`)}</small>` : null);
  return html`<ol class="timeline">${steps.toReversed().map((step) => html`
    <li key=${step.status + step.at}><span>${t(prefix + step.status)}${by(step)}</span>
      <time class="num" datetime=${step.at}>${time(step.at)}</time></li>`)}</ol>`;
}

// A business' theme sets tokens, never rules: its colour, and the ink that can be read on it.
export function wear(color) {
  const part = (at) => { const c = parseInt(color.slice(at, at + 2), 16) / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
  document.documentElement.style.setProperty("--shop", color);
  document.documentElement.style.setProperty("--on-shop", (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#10151b" : "#ffffff");
}

// A labelled field; `wrong` says in words what is not right with it, below it and to a screen reader.
export function Field({ name, label, wrong, ...rest }) {
  return html`<div class="field"><label for=${`field-${name}`}>${label}</label>
    <input id=${`field-${name}`} name=${name} aria-invalid=${wrong ? "true" : undefined} aria-describedby=${wrong ? `wrong-${name}` : undefined} ...${rest}/>
    ${wrong && html`<span class="wrong" id=${`wrong-${name}`}>${wrong}</span>`}</div>`;
}

// Calls the API with the page's token; throws an Error with the problem's own words, or plain ones where those are for programmers.
export async function api(token, path, { body, headers, ...options } = {}) {
  let reply;
  try {
    reply = await fetch(`/api/v1${path}`, {
      ...options, body: body && JSON.stringify(body),
      headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }), ...headers },
    });
  } catch { throw new Error(t("no_network")); }
  const answer = reply.status === 204 ? {} : await reply.json().catch(() => ({}));
  const words = answer.code === "validation_failed" ? t("wrong_form") : answer.detail || answer.title || reply.statusText;
  if (!reply.ok) throw Object.assign(new Error(words), { problem: answer });
  return answer;
}

// A key for one request: sent again with it, it is done once.
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
