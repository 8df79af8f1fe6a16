// A courier's phone: come to work, answer offers, serve one stop after the other, with or without a network.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { Empty, Icon, LinkState, ThemeSwitch, api, html, render } from "../shared/ui.js";
import { account, keepAccount } from "./account.js";
import { Earnings, loadEarnings, open as earningsOpen, today } from "./earnings.js";
import { Move } from "./move.js";
import { Offer, allowSound } from "./offer.js";
import { begin, broken, elsewhere, goTo, leave, link, move, offer, said, shift, shown, silent, trouble, waiting, working } from "./state.js";
import { Action, Stops } from "./stops.js";

const wrong = signal(""), busy = signal(false);

async function signIn(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  busy.value = true;
  try {
    const session = await api(null, "/auth/login", { method: "POST", body: { email: fields.get("email"), password: fields.get("password") } });
    if (!session.principal.driver_id) throw new Error(t("dr_no_driver"));
    keepAccount(session);
    location.reload();
  } catch (error) {
    busy.value = false;
    wrong.value = error.problem?.code === "bad_credentials" ? t("sign_in_failed") : error.message;
  }
}
function Door({ hint }) {
  const described = wrong.value ? "wrong" : undefined;
  return html`<main class="door"><form onSubmit=${signIn}><img src="/web/shared/icon.svg" alt=""/><h1>${t("dr_title")}</h1><p>${hint}</p>
    <label class="field">${t("email")}<input name="email" type="email" autocomplete="username" required aria-describedby=${described}/></label>
    <label class="field">${t("password")}<input name="password" type="password" autocomplete="current-password" required aria-describedby=${described}/></label>
    <p id="wrong" role="alert">${wrong.value}</p><button class="btn main huge" disabled=${busy.value}>${t("sign_in")}</button></form></main>`;
}

const counted = ({ fixes, actions, photos }) => [[fixes, "dr_n_fixes"], [actions, "dr_n_actions"], [photos, "dr_n_photos"]].filter(([n]) => n).map(([n, key]) => t(key, { n })).join(", ");
// Without the server: since when, and what is kept for it. Said once to a screen reader; the counts move silently.
function Offline() {
  const { state, lostAt } = link.value, kept = counted(waiting.value);
  if (state.value === "live" || lostAt.value === null) return null;
  return html`<section class="offline" aria-labelledby="offline"><p role="status" id="offline"><b>${t("dr_offline", { time: time(lostAt.value) })}</b></p><p class="num">${kept ? t("dr_kept", { list: kept }) : t("dr_kept_none")}</p></section>`;
}
function Top() {
  const { actions, photos } = waiting.value, sending = link.value.state.value === "live" && actions + photos > 0;
  return html`<header class="top"><h1>${t(`dr_is_${shift.value}`)}</h1>${link.value.state.value === "live" && html`<${LinkState} link=${link.value}/>`}<span class="grow"></span>
    ${sending && html`<span class="badge busy" role="status">${t("dr_sending", { list: counted({ actions, photos }) })}</span>`}
    <button class="btn earned" onClick=${() => { earningsOpen.value = true; loadEarnings(); }}><${Icon} name="cash"/><span class="num">${today.value || t("dr_money")}</span></button></header>`;
}
function Trouble() {
  if (!trouble.value || !working.value) return null;
  return html`<p class="note bad" role="alert"><${Icon} name="alert"/><span>${t(`dr_gps_${trouble.value}`)}</span></p>`;
}
function Notices() {
  const gone = link.value.known.value.notices.filter((one) => one.code === "driver_vanished");
  return gone.length ? html`<p class="note bad" role="status">${t("dr_went_away", { n: gone.length, time: time(gone[0].at) })}</p>` : null;
}
const come = () => { allowSound(); goTo("available"); };
function Idle() {
  const name = account.name.split(" ")[0];
  if (shift.value === "available") return html`<${Empty} title=${t("dr_wait")} hint=${t("dr_wait_hint")}/>${move.value && html`<${Move} move=${move.value}/>`}`;
  if (silent.value) return html`<${Empty} title=${t("dr_silent")} hint=${t("dr_silent_hint")}/>`;
  if (shift.value === "on_break") return html`<${Empty} title=${t("dr_rest")} hint=${t("dr_rest_hint")}/>`;
  return html`<${Empty} title=${t("dr_hello", { name })} hint=${t("dr_hello_hint")}/>`;
}
function Foot({ stop }) {
  const state = shift.value;
  return html`<footer class="foot">
    ${stop && html`<${Action} stop=${stop}/>`}
    ${!stop && state !== "available" && html`<button class="btn main huge" onClick=${come}>${t(state === "on_break" ? "dr_back_to_work" : "dr_go_online")}</button>`}
    ${!stop && state !== "offline" && html`<div class="pair">${state === "available" && html`<button class="btn" onClick=${() => goTo("on_break")}>${t("dr_go_on_break")}</button>`}
      <button class="btn" onClick=${() => goTo("offline")}>${t("dr_go_offline")}</button></div>`}
    ${!stop && state === "offline" && html`<div class="pair"><${ThemeSwitch}/><button class="btn quiet" onClick=${leave}><${Icon} name="out"/>${t("sign_out")}</button></div>`}</footer>`;
}

function Driver() {
  const state = link.value?.state.value, one = offer.value, stops = shown.value?.stops ?? [];
  const known = link.value?.known.value;
  // The money is in the books before the server takes a stop off the route.
  useEffect(() => { if (state === "live") loadEarnings(); }, [state, known?.stops.length]);
  if (!isSecureContext) return html`<${Empty} as="main" title=${t("dr_insecure")} hint=${t("dr_insecure_hint")}/>`;
  if (!account) return html`<${Door} hint=${t("dr_door_hint")}/>`;
  if (state === "refused") return html`<${Door} hint=${t("dr_sign_in_again")}/>`;
  if (elsewhere.value || state === "ended") return html`<${Empty} as="main" title=${t("dr_elsewhere")} hint=${t("dr_elsewhere_hint")}><button class="btn main" onClick=${() => (state === "ended" ? location.reload() : begin({ steal: true }))}>${t("dr_use_here")}</button></${Empty}>`;
  if (broken.value) return html`<${Empty} as="main" title=${t("dr_broken")} hint=${t("dr_storage", { detail: broken.value })}/>`;
  if (!known?.driver) return html`<${Empty} as="main" title=${t("loading")} hint=${state === "lost" ? t("dr_no_server") : ""}/>`;
  return html`<div class="phone" inert=${Boolean(one || earningsOpen.value)}><${Top}/><${Offline}/>
    <main><${Trouble}/><${Notices}/>${stops.length ? html`<${Stops} stops=${stops}/>` : html`<${Idle}/>`}</main><${Foot} stop=${stops[0]}/></div>
    <p class="toast" role="status" data-on=${Boolean(said.value)}>${said.value}</p>
    ${earningsOpen.value && html`<${Earnings}/>`}${one && html`<${Offer} offer=${one}/>`}`;
}
render(html`<${Driver}/>`, document.getElementById("app"));
navigator.serviceWorker?.register("/driver/sw.js", { scope: "/driver/" }).catch(() => { /* without it the page needs the network to open */ });
