// The front door: signs a person in and leads to the board; who is signed in goes right on.
import { Icon, ThemeSwitch, api, html, render, signal } from "../shared/ui.js";
import { t } from "../shared/messages.js";
import { keep, token } from "../shared/session.js";
import { keepAccount } from "../driver/account.js";

const wrong = signal(""), busy = signal(false);
async function signIn(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  busy.value = true;
  wrong.value = "";
  try {
    const session = await api(null, "/auth/login", { method: "POST", body: { email: fields.get("email"), password: fields.get("password") } });
    const drives = Boolean(session.principal.driver_id);
    if (drives) keepAccount(session); else keep(session.token);
    location.href = drives ? "/driver/" : "/board/";
  } catch (error) {
    busy.value = false;
    wrong.value = error.problem?.code === "bad_credentials" ? t("sign_in_failed") : error.message;
    event.target.elements.password.select();
  }
}
function Door() {
  const described = wrong.value ? "wrong" : undefined;
  return html`<main class="door"><div class="theme"><${ThemeSwitch}/></div><form onSubmit=${signIn}>
    <header><img src="/web/shared/icon.svg" alt=""/><h1>onward</h1></header>
    <div><h2>${t("door_title")}</h2><p>${t("door_hint")}</p></div>
    <label class="field">${t("email")}<input name="email" type="email" autocomplete="username" required autofocus aria-describedby=${described}/></label>
    <label class="field">${t("password")}<input name="password" type="password" autocomplete="current-password" required aria-describedby=${described}/></label>
    <p id="wrong" role="alert">${wrong.value}</p>
    <button class="btn main" disabled=${busy.value}>${t("sign_in")}<${Icon} name="away"/></button>
    <a href="/driver/">${t("driver_app")}</a>
  </form></main>`;
}
if (token) location.replace("/board/");
render(html`<${Door}/>`, document.getElementById("app"));
