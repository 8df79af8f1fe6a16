// What the page asks and what it was answered: the day, what is to be otherwise, how far it is, the three days in figures.
import { computed, signal } from "@preact/signals";
import { askLines } from "../shared/lines.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { api } from "../shared/ui.js";

if (!token) location.replace("/");

export const days = signal(null), weights = signal({}), failure = signal("");
export const day = signal(""), business = signal(""), drivers = signal(0), stack = signal(""), several = signal(""), pool = signal(""), weighed = signal({});
export const progress = signal(null), found = signal(null), wrong = signal(""), driver = signal("");
export const businesses = signal([]);
// [weight, highest value on the slider, step]; values are hundredths of a second, as the engine has them.
export const SLIDERS = [["lateness", 500, 10], ["empty_travel", 100, 2], ["fairness", 3000, 100], ["pool_instead_of_dedicated", 60_000, 3000]];
export const DRIVERS_MAX = 50;

export async function load() {
  try {
    const known = await api(token, "/dispatch/what-if");
    weights.value = known.weights;
    days.value = known.data;
    const today = new Date().toISOString().slice(0, 10);
    day.value = (known.data.find((one) => one.date < today) ?? known.data[0])?.date ?? "";
  } catch (error) {
    failure.value = error.problem?.code === "unauthenticated" || error.problem?.code === "token_expired" ? t("board_refused_hint") : error.message;
  }
}
const change = computed(() => ({
  drivers: drivers.value,
  policy: {
    ...(stack.value && { stack_max: Number(stack.value) }), ...(several.value && { several_stores: several.value === "yes" }), ...(pool.value && { uses_shared_pool: pool.value === "yes" }),
    weights: weighed.value,
  },
}));
export const same = computed(() => drivers.value === 0 && !stack.value && !several.value && !pool.value && Object.keys(weighed.value).length === 0);

export async function play(event) {
  event.preventDefault();
  wrong.value = "";
  progress.value = { phase: "baseline", share: 0 };
  try {
    const body = { date: day.value, change: change.value, ...(business.value && { business_id: business.value }) };
    for await (const line of askLines(token, "/dispatch/what-if", body)) {
      if (line.progress) progress.value = line.progress;
      if (line.result) answer(line.result);
    }
  } catch (problem) {
    wrong.value = problem.detail || problem.title || t("no_network");
  }
  progress.value = null;
}
function answer(result) {
  found.value = result;
  if (!business.value) businesses.value = result.businesses;
  if (result.paths.some((one) => one.driver_id === driver.value)) return;
  driver.value = (result.paths.find((one) => one.baseline.length && one.alternative.length) ?? result.paths[0]).driver_id;
}
