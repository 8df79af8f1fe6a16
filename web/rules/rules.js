// The rules: how deliveries are dispatched, which zones and stores rest, routes planned ahead, and how fair it all is.
import { useEffect } from "preact/hooks";
import { t } from "../shared/messages.js";
import { Empty, ThemeSwitch, html, render } from "../shared/ui.js";
import { Fairness } from "./fairness.js";
import { Policy } from "./policy.js";
import { Routes } from "./routes.js";
import { failure, go, load, said, scope, tab, tabs } from "./state.js";
import { Stores } from "./stores.js";
import { Zones } from "./zones.js";

const PARTS = { policy: Policy, zones: Zones, stores: Stores, routes: Routes, fairness: Fairness };
function turn(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const list = tabs.value, next = list[(list.indexOf(tab.value) + step + list.length) % list.length];
  go(next);
  document.getElementById(`tab-${next}`).focus();
}
function Content() {
  if (failure.value) return html`<${Empty} as="main" title=${t("ru_failed")} hint=${failure.value}><a class="btn" href="/">${t("sign_in")}</a></${Empty}>`;
  if (!scope.value) return html`<main class="ghosts" aria-busy="true" aria-label=${t("loading")}><i></i><i></i><i></i></main>`;
  const Part = PARTS[tab.value];
  requestAnimationFrame(() => document.getElementById(`tab-${tab.value}`)?.scrollIntoView({ block: "nearest", inline: "center" }));
  return html`<main><div class="tabs" role="tablist" aria-label=${t("ru_title")} onKeyDown=${turn}>${tabs.value.map((name) => html`<button key=${name} role="tab" id=${`tab-${name}`} aria-controls="part" aria-selected=${tab.value === name} tabindex=${tab.value === name ? 0 : -1} onClick=${() => go(name)}>${t(`ru_t_${name}`)}</button>`)}</div>
    <div class="part" id="part" role="tabpanel" aria-labelledby=${`tab-${tab.value}`} key=${tab.value}><${Part}/></div></main>`;
}
function Page() {
  useEffect(() => { document.title = `${t("ru_title")} · onward`; load(); }, []);
  return html`<header class="top"><a class="btn quiet" href="/board/" aria-label=${t("wi_board")}><img src="/web/shared/icon.svg" alt=""/><span>${t("wi_board")}</span></a><h1>${t("ru_title")}</h1><${ThemeSwitch}/></header><${Content}/>
    <div class="sr" role="status" aria-live="polite">${said}</div>`;
}
render(html`<${Page}/>`, document.getElementById("app"));
