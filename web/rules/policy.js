// The policy as a form: what was set here, beside it what holds otherwise. Bounds and defaults are the API's own description.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { count } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { token } from "../shared/session.js";
import { Empty, api, html } from "../shared/ui.js";
import { businesses, isAdmin, said } from "./state.js";

// [group, [[field, unit]]]: `yes` a choice, otherwise a number in this unit.
const VEHICLES = ["bicycle", "scooter", "car", "foot"];
const GROUPS = [
  ["offers", [["mode", "mode"], ["offer_to_count", "drivers"], ["offer_ttl_s", "s"], ["decline_cooldown_s", "s"]]],
  ["trips", [["stack_max", "deliveries"], ["several_stores", "yes"], ["uses_shared_pool", "yes"]]],
  ["moves", [["moves", "yes"], ["moves_every_s", "s"]]],
  ["weights", [["weights.delay", "c"], ["weights.lateness", "c"], ["weights.driver_time", "c"], ["weights.empty_travel", "c"], ["weights.pool_instead_of_dedicated", "job"], ["weights.dedicated_priority_step", "job"], ["weights.fairness", "job"]]],
  ["vehicles", VEHICLES.flatMap((one) => [[`vehicles.${one}.capacity`, "units"], [`vehicles.${one}.distance_m_max`, "m"]])],
];
const MODES = ["automatic", "offer_to_several", "manual"];
const OWN_WEIGHTS = ["weights.delay", "weights.lateness"];
const whose = signal(""), view = signal(null), draft = signal({}), wrong = signal({}), busy = signal(false), failed = signal(""), schemas = signal(null);

const at = (object, path) => path.split(".").reduce((inside, name) => inside?.[name], object);
// The API's description of a field: { minimum, maximum, default }; each vehicle has defaults of its own.
function described(path) {
  const [first, ...rest] = path.split("."), all = schemas.value ?? {};
  const shape = { weights: all.Weights, vehicles: all.VehicleLimits }[first] ?? all.Policy, found = shape?.properties[rest.at(-1) ?? first];
  return first === "vehicles" ? { ...found, default: undefined } : { ...found };
}
const flat = (set) => Object.fromEntries(GROUPS.flatMap(([, fields]) => fields).map(([path]) => [path, at(set, path)]).filter(([, value]) => value !== undefined).map(([path, value]) => [path, String(value)]));
const query = () => (whose.value ? `?business_id=${whose.value}` : "");

async function load() {
  view.value = null;
  failed.value = "";
  try {
    const [found, api_itself] = await Promise.all([api(token, `/dispatch/policy${query()}`), schemas.value ? null : fetch("/openapi.json").then((reply) => reply.json())]);
    if (api_itself) schemas.value = api_itself.components.schemas;
    hear(found);
  } catch (error) { failed.value = error.message; }
}
function hear(found) {
  view.value = found;
  draft.value = flat(found.set);
  wrong.value = {};
}
// Only what was changed is sent; what was emptied goes back to what holds otherwise.
function changes() {
  const before = flat(view.value.set), body = {};
  for (const path of new Set([...Object.keys(before), ...Object.keys(draft.value)])) {
    const value = draft.value[path] ?? "";
    if (value === (before[path] ?? "")) continue;
    const names = path.split("."), last = names.pop();
    let inside = body;
    for (const name of names) inside = inside[name] ??= {};
    inside[last] = value === "" ? null : value === "true" || value === "false" ? value === "true" : MODES.includes(value) ? value : Number(value);
  }
  return body;
}
async function save(event) {
  event.preventDefault();
  busy.value = true;
  try {
    hear(await api(token, `/dispatch/policy${query()}`, { method: "PATCH", body: changes() }));
    said.value = t("ru_saved");
  } catch (error) {
    const errors = (error.problem?.errors ?? []).map(({ field, message }) => [field.replace(/^\$?\.?/, ""), message]);
    wrong.value = errors.length ? Object.fromEntries(errors) : { "": error.message };
    document.querySelector('[aria-invalid="true"]')?.focus();
  }
  busy.value = false;
}
const mine = (path) => isAdmin.value && !whose.value ? true : path.startsWith("weights.") ? OWN_WEIGHTS.includes(path) : !path.startsWith("vehicles.") && !path.startsWith("moves");

function labelOf(path) {
  const [first, kind, limit] = path.split(".");
  return first === "vehicles" ? t(`ru_p_${limit}`, { vehicle: t(`v_${kind}`) }) : t(`ru_p_${kind ?? first}`);
}
const written = (path, value) => (value === undefined ? "–" : path === "mode" ? t(`ru_mode_${value}`) : typeof value === "boolean" ? t(value ? "ru_yes" : "ru_no") : count(value));
function PolicyField({ path, unit }) {
  const id = `p-${path}`, { minimum, maximum, default: usual } = described(path), otherwise = path in flat(view.value.set) ? usual : at(view.value.policy, path);
  const problem = wrong.value[path], value = draft.value[path] ?? "", limit = path.split(".").at(-1);
  const set = (event) => { draft.value = { ...draft.value, [path]: event.target.value.trim() }; };
  const shared = { id, value, "aria-invalid": problem ? "true" : undefined, "aria-describedby": `${id}-hint` };
  const options = unit === "mode" ? MODES : ["true", "false"];
  return html`<div class="field rule"><label for=${id}>${labelOf(path)}</label>
    ${unit === "mode" || unit === "yes" ? html`<select class="choice" ...${shared} onChange=${set}><option value="">${t("ru_otherwise", { value: written(path, otherwise) })}</option>${options.map((one) => html`<option key=${one} value=${one}>${unit === "mode" ? t(`ru_mode_${one}`) : t(one === "true" ? "ru_yes" : "ru_no")}</option>`)}</select>`
    : html`<span class="amount"><input ...${shared} inputmode="numeric" autocomplete="off" placeholder=${otherwise === undefined ? "" : String(otherwise)} onInput=${set}/><i>${t(`ru_u_${unit}`)}</i></span>`}
    <small id=${`${id}-hint`}>${t(`ru_h_${limit}`)} ${usual === undefined ? "" : t("ru_default", { value: written(path, usual) })} ${minimum === undefined ? "" : t("ru_bounds", { low: count(minimum), high: count(maximum) })}${problem && html` <b class="wrong" role="alert">${problem}</b>`}</small></div>`;
}
export function Policy() {
  useEffect(() => { load(); }, [whose.value]);
  const dirty = view.value && Object.keys(changes()).length > 0;
  const loose = Object.entries(wrong.value).filter(([path]) => !document.getElementById(`p-${path}`));
  return html`<div class="intro"><p>${t("ru_policy_hint")}</p>
    ${isAdmin.value && html`<label class="field">${t("ru_whose")}<select class="choice" value=${whose.value} onChange=${(event) => { whose.value = event.target.value; }}><option value="">${t("ru_everybody")}</option>${businesses.value.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>`}</div>
    ${failed.value ? html`<${Empty} title=${t("ru_failed")} hint=${failed.value}><button class="btn" onClick=${load}>${t("ru_again")}</button></${Empty}>`
    : !view.value ? html`<div class="ghosts" role="status" aria-label=${t("loading")}><i></i><i></i><i></i></div>`
    : html`<form class="policy" onSubmit=${save} novalidate>${GROUPS.map(([group, fields]) => {
      const shown = fields.filter(([path]) => mine(path));
      return shown.length > 0 && html`<fieldset key=${group}><legend>${t(`ru_g_${group}`)}</legend>${group === "weights" && html`<p class="soft">${t("ru_weights_hint")}</p>`}<div class="rulegrid">${shown.map(([path, unit]) => html`<${PolicyField} key=${path} path=${path} unit=${unit}/>`)}</div></fieldset>`;
    })}
    ${loose.map(([path, words]) => html`<p key=${path} class="wrong" role="alert">${words}</p>`)}
    <div class="save"><button class="btn main" disabled=${busy.value || !dirty}>${t("ru_save")}</button>${dirty && html`<button type="button" class="btn quiet" onClick=${() => hear(view.value)}>${t("ru_discard")}</button>`}</div></form>`}`;
}
