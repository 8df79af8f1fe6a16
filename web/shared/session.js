// Who is signed in: this tab's own session first (a link can open another board beside yours), else the one all tabs share.
const KEY = "token";

// A link's token comes in the fragment, which never reaches a server; it stays this tab's until the board has opened with it.
if (location.pathname === "/board/" && location.hash.length > 1) {
  sessionStorage.setItem(KEY, location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
}
export const token = sessionStorage.getItem(KEY) ?? (localStorage.getItem(KEY) || null);

// It works: the next tab may have it too.
export function keep(works) {
  sessionStorage.setItem(KEY, works);
  localStorage.setItem(KEY, works);
}
// It does not work; another session that all tabs share stays.
export function forget(refused) {
  sessionStorage.removeItem(KEY);
  if (localStorage.getItem(KEY) === refused) localStorage.removeItem(KEY);
}
// Signing out is meant for every tab: they hear of the empty text.
export function leave() {
  sessionStorage.removeItem(KEY);
  localStorage.setItem(KEY, "");
  location.replace("/");
}
addEventListener("storage", (event) => { if (token && event.key === KEY && event.newValue === "") leave(); });
