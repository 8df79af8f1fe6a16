// The front door: signs a user in and leads him to the board.
import { html, render, signal, api } from "../shared/ui.js";
import { t } from "../shared/messages.js";
import "../shared/theme.js";

const wrong = signal(""), busy = signal(false);
async function signIn(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  busy.value = true; wrong.value = "";
  try {
    const session = await api(null, "/auth/login", { method: "POST", body: { email: fields.get("email"), password: fields.get("password") } });
    sessionStorage.setItem("token", session.token);
    location.href = "/board/";
  } catch (error) {
    wrong.value = error.problem?.code === "bad_credentials" ? t("sign_in_failed") : error.message;
  } finally { busy.value = false; }
}
function Door() {
  return html`<main class="door"><form onSubmit=${signIn}>
    <div class="mark"><img src="/web/shared/icon.svg" alt=""/><div><h1>onward</h1><p>${t("welcome")}</p></div></div>
    <label class="field">${t("email")}<input name="email" type="email" autocomplete="username" required autofocus/></label>
    <label class="field">${t("password")}<input name="password" type="password" autocomplete="current-password" required/></label>
    <p role="alert">${wrong.value}</p>
    <button class="btn main" disabled=${busy.value}>${t("sign_in")}</button>
  </form></main>`;
}
render(html`<${Door}/>`, document.getElementById("app"));
