// The dispatch board: a control room, calm when all is well. This page wires list, map and panel to one live object.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { leave, token } from "../shared/session.js";
import { DriverMark, Icon, LinkState, ThemeSwitch, api, html, render } from "../shared/ui.js";
import { Alerts } from "./alerts.js";
import { Ghost, Tray, drag, dragOver, pressed } from "./drag.js";
import { Draw } from "./draw.js";
import { drawing, viewFrom } from "./filterbar.js";
import { active, areas, clearFilters, filters, matchesDriver, onShift } from "./filters.js";
import { Assigning, Results, Undo, askHere, chosen, tick, untick } from "./give.js";
import { List } from "./list.js";
import { Numbers } from "./numbers.js";
import { Panel } from "./panel.js";
import { DONE, board, colors, deliveryOf, driverOf, link, matching, movable, pointed, sayings, selected, wayOf } from "./state.js";

const NARROW_PX = 820, PANEL_PX = 420, FRAME_PX = 44;
let map = null, cameFrom = null;

// Where the person was before the panel: a row by its id, for it may have moved to another group since.
function goBack() {
  const row = (which) => [...document.querySelectorAll(`.row${which}`)].find((one) => one.checkVisibility());
  const element = typeof cameFrom === "string" ? row(`[data-id="${cameFrom}"]`) : cameFrom;
  cameFrom = null;
  (element?.isConnected && element !== document.body ? element : row('[tabindex="0"]') ?? document.querySelector(".search")).focus();
}
export function pick(id) {
  if (!id && !selected.value) return;
  const row = document.activeElement?.closest(".row");
  if (id && (row || !selected.value)) cameFrom = row?.dataset.id ?? document.activeElement;
  selected.value = id;
  if (!id) { goBack(); return; }
  const points = wayOf(id, link.view.value.drivers), one = driverOf(id);
  const narrow = innerWidth < NARROW_PX;
  const seen = points.length ? points : [link.view.value.drivers.find((d) => d.id === one?.id)?.position].filter(Boolean);
  const room = narrow ? { top: 60, left: 40, right: 60, bottom: 40 } : { top: 80, bottom: 70, left: 70, right: PANEL_PX + 40 };
  requestAnimationFrame(() => requestAnimationFrame(() => map?.fit(seen, room)));
}

// Everything drawn on the map follows from the object and the selection.
function drawOn(handle) {
  let framed = false;
  const stops = [
    effect(() => {
      const view = board.value, chosenOne = selected.value, lit = pointed.value;
      if (!view) return;
      const one = deliveryOf(chosenOne), doors = matching.value.filter((d) => !DONE.has(d.status) && d !== one);
      handle.places([
        ...[...doors, ...(one ? [one] : [])].map((d) => ({ id: d.id, kind: "door", name: d.dropoff.address, lat: d.dropoff.lat, lng: d.dropoff.lng, color: colors.value[d.business_id], selected: d === one, lit: d.id === lit || (lit && d.driver_id === lit) })),
        ...view.stores.map((s) => ({ id: s.id, kind: "store", name: s.name, lat: s.lat, lng: s.lng, color: colors.value[s.business_id] })),
      ]);
      const places = [...view.stores, ...view.drivers.map((d) => d.position).filter(Boolean)];
      if (framed || !places.length) return;
      framed = true;
      handle.open(places, FRAME_PX);
    }),
    effect(() => {
      const drivers = link.view.value?.drivers ?? [], one = selected.value, lit = pointed.value, taking = drag.value;
      const marked = new Set([one, lit, taking?.over, deliveryOf(one)?.driver_id, deliveryOf(lit)?.driver_id].filter(Boolean));
      const busy = new Set(matching.value.map((d) => d.driver_id));
      const shown = active.value.length && !taking ? drivers.filter((d) => marked.has(d.id) || busy.has(d.id) || matchesDriver(d)) : drivers;
      handle.drivers(marked.size || taking ? shown.map((d) => (marked.has(d.id) || (taking && !onShift(d)) ? { ...d, selected: marked.has(d.id), dim: Boolean(taking) && !onShift(d) } : d)) : shown);
    }),
    effect(() => {
      const id = selected.value ?? pointed.value;
      handle.line(id ? wayOf(id, selected.value ? link.view.value?.drivers ?? [] : link.view.peek()?.drivers ?? []) : []);
    }),
    effect(() => handle.shapes(areas.value)),
  ];
  dragOver((x, y) => handle.at(x, y));
  viewFrom(() => handle.ground());
  return () => stops.forEach((stop) => stop());
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    const onPick = (id) => { if (deliveryOf(id) || driverOf(id)) pick(id); };
    makeMap(ref.current, { onPick, onPoint: (id) => { pointed.value = id; }, onView: link.look }).then((made) => {
      if (!made) return;
      map = made;
      stop = drawOn(made);
    });
    return () => stop();
  }, []);
  const take = (event) => {
    const id = map && event.target.matches(".maplibregl-canvas") ? map.at(event.clientX, event.clientY) : null;
    if (deliveryOf(id)) pressed(event, id, { onStart: () => map.still(true), onEnd: () => map.still(false) });
  };
  return html`<main class="map" aria-label=${t("map_label")} onPointerDownCapture=${take}><div ref=${ref}></div><${Legend}/>${drawing.value && map && html`<${Draw} ground=${map.ground}/>`}</main>`;
}
const STATES = [["available"], ["busy"], ["on_break"], ["available", true]];
function Legend() {
  const businesses = board.value?.businesses ?? [];
  if (!board.value) return null;
  return html`<details class="legend"><summary><span aria-hidden="true">?</span><b>${t("legend")}</b></summary>
    <h3>${t("drivers")}</h3><ul>${STATES.map(([state, silent]) => html`<li key=${state + silent}><${DriverMark} state=${state} silent=${silent}/>${t(silent ? "d_silent" : `d_${state}`)}</li>`)}</ul>
    <h3>${t("legend_business")}</h3><ul><li><i class="square"></i>${t("legend_store")}</li><li><i class="dot"></i>${t("legend_door")}</li></ul>
    ${businesses.length > 1 && html`<ul class="shops">${businesses.map((b) => html`<li key=${b.id}><i class="square" ref=${(e) => e && (e.style.background = b.color)}></i>${b.name}</li>`)}</ul>`}</details>`;
}

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea"), down = ["j", "ArrowDown"].includes(event.key);
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !typing) { event.preventDefault(); document.querySelector(".search").focus(); return; }
  const letter = !typing && !event.target.matches(".maplibregl-canvas") && event.key.toLowerCase(), row = event.target.closest?.(".row")?.dataset.id;
  if (letter === "a") { event.preventDefault(); askHere(row); return; }
  if (letter === "c") { clearFilters(); return; }
  if (letter === "x" && movable(deliveryOf(row) ?? { status: "delivered" })) { tick(row); return; }
  if (event.key === "Escape") {
    if (!typing && chosen.value.length) { untick(); return; }
    if (event.target.matches(".search")) { event.preventDefault(); filters.q.value = ""; }
    if (typing) event.target.blur(); else pick(null);
    return;
  }
  const fromSearch = event.target.matches(".search") && event.key === "ArrowDown";
  if (event.target.matches(".maplibregl-canvas") || (typing && !fromSearch) || !(down || ["k", "ArrowUp"].includes(event.key))) return;
  const rows = [...document.querySelectorAll(".row")].filter((row) => row.checkVisibility());
  const here = rows.findIndex((row) => row === document.activeElement), at = here < 0 ? rows.findIndex((row) => row.dataset.id === selected.value) : here;
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + (down ? 1 : -1)))];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  if (event.shiftKey) for (const one of [row, next.dataset.id]) if (movable(deliveryOf(one) ?? { status: "delivered" }) && !chosen.value.includes(one)) tick(one);
});
// What the pointer is on in one place is lit in the other, without making any row anew.
let litRows = [];
effect(() => {
  const id = pointed.value;
  for (const row of litRows) delete row.dataset.lit;
  litRows = id ? [...document.querySelectorAll(`[data-item="${id}"], .who[data-id="${id}"]`), ...(driverOf(id)?.delivery_ids ?? []).map((one) => document.querySelector(`[data-item="${one}"]`)).filter(Boolean)] : [];
  for (const row of litRows) row.dataset.lit = "";
});

async function signOut() {
  await api(token, "/auth/logout", { method: "POST" }).catch(() => null);
  leave();
}
const Sayings = () => html`<div class="sr" role="log" aria-live="polite">${sayings.value.map(({ n, text }) => html`<p key=${n}>${text}</p>`)}</div>`;
function Board() {
  const name = board.value?.scope.name ?? "onward";
  useEffect(() => { document.title = `${name} · ${t("deliveries")}`; }, [name]);
  return html`<div class="board" data-open=${Boolean(selected.value)} data-dragging=${Boolean(drag.value)}>
    <header class="top"><h1><img src="/web/shared/icon.svg" alt=""/><span>${name}</span></h1><${Numbers}/>
      <${LinkState} link=${link}/><a class="btn icon quiet" href="/rules/" aria-label=${t("ru_title")} title=${t("ru_title")}><${Icon} name="rules"/></a><a class="btn icon quiet" href="/whatif/" aria-label=${t("wi_title")} title=${t("wi_title")}><${Icon} name="replay"/></a><${ThemeSwitch}/><button class="btn icon quiet" aria-label=${t("sign_out")} title=${t("sign_out")} onClick=${signOut}><${Icon} name="out"/></button>
      <p class="sr">${t("keys_hint")}</p></header>
    <${Alerts} pick=${pick}/><${List} pick=${pick}/><${MapArea}/><${Panel} pick=${pick}/><${Tray}/><${Undo}/><${Ghost}/><${Assigning}/><${Results}/>
    <${Sayings}/></div>`;
}
render(html`<${Board}/>`, document.getElementById("app"));
