// Who looks at the rules and what there is to rule: the caller's scope, its businesses, stores and the marks they wear.
import { computed, effect, signal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { api } from "../shared/ui.js";

if (!token) location.replace("/");

export const TABS = ["policy", "zones", "stores", "routes", "fairness"];
const asked = () => (TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : TABS[0]);
export const tab = signal(asked()), scope = signal(null), businesses = signal([]), stores = signal([]), failure = signal(""), said = signal("");
export const isAdmin = computed(() => scope.value?.kind === "operator");
// Only an operator sees its pool.
export const tabs = computed(() => TABS.filter((name) => name !== "fairness" || isAdmin.value));
addEventListener("hashchange", () => { tab.value = asked(); });
effect(() => { if (scope.value && !tabs.value.includes(tab.value)) tab.value = TABS[0]; });
export const go = (name) => { tab.value = name; history.replaceState(null, "", `#${name}`); };

export async function load() {
  try {
    const board = await api(token, "/dispatch/board");
    businesses.value = board.businesses;
    stores.value = board.stores;
    scope.value = board.scope;
  } catch (error) {
    failure.value = ["unauthenticated", "token_expired"].includes(error.problem?.code) ? t("board_refused_hint") : error.message;
  }
}
export const colorOf = (business_id) => businesses.value.find((one) => one.id === business_id)?.color ?? "#555c66";
export const nameOf = (business_id) => businesses.value.find((one) => one.id === business_id)?.name ?? "";
// The problem's own words, and by field where it names one: `drivers[0].off_at` as `drivers`.
export const wordsOf = (problem) => problem?.errors?.[0]?.message ?? problem?.detail ?? problem?.title ?? "";
// A local time of a form as the API wants it, or null.
export const instant = (text) => (text ? new Date(text).toISOString() : null);
