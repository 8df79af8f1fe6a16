// The filters, and a line that says what they hide and takes them away.
import { effect, signal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { Icon, html } from "../shared/ui.js";
import { loadZones, paused, textOf, zoneOf } from "./areas.js";
import { DUE, active, clearFilters, filters } from "./filters.js";
import { board, driverOf, hiddenCount } from "./state.js";

const narrow = matchMedia("(max-width: 820px)");
const more = signal(!narrow.matches && active.peek().some((name) => name !== "q"));
effect(() => { if (more.value) loadZones(); });
// `drawing`: an area is being drawn on the map.
export const drawing = signal(false);
let view = null;
export const viewFrom = (corners) => { view = corners; };
export const setArea = (corners) => { filters.area.value = textOf(corners); drawing.value = false; };

function Choice({ name, label, options }) {
  return html`<select class="choice" aria-label=${label} value=${filters[name].value} onChange=${(e) => { filters[name].value = e.target.value; }}>
    <option value="">${label}</option>${options.map(([value, text]) => html`<option value=${value} key=${value}>${text}</option>`)}</select>`;
}
const WORDS = {
  q: (value) => `“${value}”`, due: (value) => t(`due_${value}`), business: (value) => board.value?.businesses.find((b) => b.id === value)?.name ?? value,
  status: (value) => t(`b_${value}`), driver: (value) => driverOf(value)?.name ?? t("driver"), area: () => t("area"),
  zone: (value) => zoneOf(value)?.reason ?? t(paused.value ? "zone_ended" : "loading"), off: () => t("hide_off"),
};
export function FilterBar() {
  const { q, status, off } = filters, businesses = board.value?.businesses ?? [], names = active.value, zones = paused.value ?? [];
  const statuses = [...new Set([...(board.value?.deliveries ?? []).map((d) => d.status), ...(status.value ? [status.value] : [])])].sort();
  return html`<div class="filters" role="search">
    <label class="find"><${Icon} name="search"/><span class="sr">${t("search")}</span>
      <input class="search" type="search" placeholder=${t("search")} value=${q.value} onInput=${(e) => { q.value = e.target.value; }}/><kbd aria-hidden="true">/</kbd></label>
    <button class="btn icon" aria-expanded=${more.value} aria-controls="more" aria-label=${t("filters")} title=${t("filters")} onClick=${() => { more.value = !more.value; }}><${Icon} name="funnel"/></button>
    ${more.value && html`<div class="more" id="more">
      <${Choice} name="due" label=${t("any_time")} options=${DUE.map((value) => [value, t(`due_${value}`)])}/>
      <${Choice} name="status" label=${t("all_statuses")} options=${statuses.map((s) => [s, t(`b_${s}`)])}/>
      ${businesses.length > 1 && html`<${Choice} name="business" label=${t("all_businesses")} options=${businesses.map((b) => [b.id, b.name])}/>`}
      ${zones.length > 0 && html`<${Choice} name="zone" label=${t("all_zones")} options=${zones.map((zone) => [zone.id, zone.reason])}/>`}
      <button class="btn" aria-pressed=${drawing.value} onClick=${() => { drawing.value = !drawing.value; if (narrow.matches) more.value = false; }}><${Icon} name="frame"/>${t("draw_area")}</button>
      <button class="btn" onClick=${() => view && setArea(view())}>${t("area_of_view")}</button>
      <label class="switch"><input type="checkbox" checked=${off.value === "hide"} onChange=${(e) => { off.value = e.target.checked ? "hide" : ""; }}/>${t("hide_off")}</label></div>`}
    ${names.length > 0 && html`<p class="hides"><span role="status">${t("hides", { n: hiddenCount.value })}</span>
      ${names.map((name) => html`<button class="chip" key=${name} aria-label=${t("without", { what: WORDS[name](filters[name].value) })} onClick=${() => { filters[name].value = ""; }}>${WORDS[name](filters[name].value)}<${Icon} name="close"/></button>`)}
      <button class="chip all" onClick=${clearFilters}>${t("clear_filters")} <kbd aria-hidden="true">C</kbd></button></p>`}</div>`;
}
