// The drivers as a list: as many rows as can be seen, however many drivers there are. Each is a place to drop a delivery on.
import { useEffect, useRef } from "preact/hooks";
import { computed, signal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { DriverMark, Empty, html } from "../shared/ui.js";
import { isSilent } from "../shared/map.js";
import { now } from "../shared/clock.js";
import { drag } from "./drag.js";
import { clearFilters } from "./filters.js";
import { about } from "./give.js";
import { focused, matchingDrivers, pointed, positionOf, selected } from "./state.js";

const ROW_PX = 56, AROUND = 8;
const top = signal(0), height = signal(600);
// The first and the last row to make; it changes when a row's height was scrolled, not with every pixel.
const span = computed(() => `${Math.max(0, Math.floor(top.value / ROW_PX) - AROUND)}:${Math.ceil((top.value + height.value) / ROW_PX) + AROUND}`);

function Row({ one, n, of, pick }) {
  return html`<li class="slot" ref=${(e) => e && (e.style.transform = `translateY(${n * ROW_PX}px)`)} aria-setsize=${of} aria-posinset=${n + 1}>
    <button class="row who" data-id=${one.id} data-driver=${one.id} data-over=${drag.value?.over === one.id} aria-current=${selected.value === one.id} tabindex=${n === 0 || focused.value === one.id ? 0 : -1}
      onFocus=${() => { focused.value = pointed.value = one.id; }} onClick=${() => pick(one.id)} onPointerEnter=${() => { pointed.value = one.id; }} onPointerLeave=${() => { pointed.value = null; }}>
      <${DriverMark} state=${one.state} silent=${isSilent({ position: positionOf(one.id) }, now.peek())}/><span class="where">${one.name}</span><span class="sub">${about(one)}</span></button></li>`;
}
export function Drivers({ pick }) {
  const ref = useRef(null), all = matchingDrivers.value;
  useEffect(() => {
    const seen = new ResizeObserver(() => { height.value = ref.current?.clientHeight ?? 0; });
    seen.observe(ref.current);
    return () => { seen.disconnect(); top.value = 0; };
  }, []);
  const [from, to] = span.value.split(":").map(Number);
  const empty = !all.length && html`<${Empty} title=${t("no_drivers")} hint=${t("no_drivers_hint")}><button class="btn" onClick=${clearFilters}>${t("clear_filters")}</button></${Empty}>`;
  return html`<div class="rows" tabindex="-1" ref=${ref} onScroll=${(e) => { top.value = e.target.scrollTop; }}>${empty || html`
    <ul class="slots" ref=${(e) => e && (e.style.height = `${all.length * ROW_PX}px`)}>${all.slice(from, to).map((one, n) => html`<${Row} one=${one} n=${from + n} of=${all.length} pick=${pick} key=${one.id}/>`)}</ul>`}</div>`;
}
