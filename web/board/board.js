// The dispatch board: a control room, calm when all is well. This page wires list, map and panel to one live object.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { count, percent } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { leave, token } from "../shared/session.js";
import { DriverMark, Icon, LinkState, ThemeSwitch, api, html, render } from "../shared/ui.js";
import { Alerts } from "./alerts.js";
import { List } from "./list.js";
import { Panel, Undo } from "./panel.js";
import { DONE, board, colors, deliveryOf, driverOf, filters, link, numbers, said, selected, silentDrivers, wayOf } from "./state.js";

const IN_TIME_GOAL = 0.9, NARROW_PX = 820, PANEL_PX = 420, FRAME_PX = 44;
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

function Numbers() {
  const { open, unassigned, inTime, delivered, by } = numbers.value;
  const Stat = ({ n, text, tone = "" }) => html`<div class=${`stat ${tone}`}><dd class="num">${n}</dd><dt>${text}</dt></div>`;
  return html`<dl class="numbers" aria-label=${t("numbers")} tabindex="0">
    <${Stat} n=${count(open)} text=${t("open")}/><${Stat} n=${count(unassigned)} text=${t("unassigned")}/>
    <${Stat} n=${inTime === null ? "–" : percent(inTime)} text=${t("in_time")} tone=${inTime !== null && inTime < IN_TIME_GOAL ? "bad" : ""}/>
    <${Stat} n=${count(delivered)} text=${t("delivered_recently")}/>
    ${Object.entries(by).map(([state, n]) => html`<${Stat} key=${state} n=${count(n)} tone="crew" text=${html`<${DriverMark} state=${state}/>${t(`d_${state}`)}`}/>`)}
    ${silentDrivers.value > 0 && html`<${Stat} n=${count(silentDrivers.value)} tone="crew" text=${html`<${DriverMark} state="offline" silent/>${t("d_silent")}`}/>`}</dl>`;
}

// Everything drawn on the map follows from the object and the selection.
function drawOn(handle) {
  let framed = false;
  const stops = [
    effect(() => {
      const view = board.value, chosen = selected.value;
      if (!view) return;
      const doors = view.deliveries.filter((d) => !DONE.has(d.status) || d.id === chosen);
      handle.places([
        ...doors.map((d) => ({ id: d.id, kind: "door", name: d.dropoff.address, lat: d.dropoff.lat, lng: d.dropoff.lng, color: colors.value[d.business_id], selected: d.id === chosen })),
        ...view.stores.map((s) => ({ id: s.id, kind: "store", name: s.name, lat: s.lat, lng: s.lng, color: colors.value[s.business_id] })),
      ]);
      const places = [...view.stores, ...view.drivers.map((d) => d.position).filter(Boolean)];
      if (framed || !places.length) return;
      framed = true;
      handle.open(places, FRAME_PX);
    }),
    effect(() => {
      const drivers = link.view.value?.drivers ?? [], chosen = selected.value, his = chosen && deliveryOf(chosen)?.driver_id;
      handle.drivers(drivers.map((d) => (d.id === chosen || d.id === his ? { ...d, selected: true } : d)));
      handle.line(chosen ? wayOf(chosen, drivers) : []);
    }),
  ];
  return () => stops.forEach((stop) => stop());
}
function MapArea() {
  const ref = useRef(null);
  useEffect(() => {
    let stop = () => {};
    makeMap(ref.current, { onPick: (id) => { if (deliveryOf(id) || driverOf(id)) pick(id); } }).then((made) => {
      if (!made) return;
      map = made;
      stop = drawOn(made);
    });
    return () => stop();
  }, []);
  return html`<main class="map" aria-label=${t("map_label")}><div ref=${ref}></div><${Legend}/></main>`;
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
  const typing = event.target.matches("input, select, textarea"), down = ["j", "ArrowDown"].includes(event.key);
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !typing) { event.preventDefault(); document.querySelector(".search").focus(); return; }
  if (event.key === "Escape") {
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
});

async function signOut() {
  await api(token, "/auth/logout", { method: "POST" }).catch(() => null);
  leave();
}
function Board() {
  const name = board.value?.scope.name ?? "onward";
  useEffect(() => { document.title = `${name} · ${t("deliveries")}`; }, [name]);
  return html`<div class="board" data-open=${Boolean(selected.value)}>
    <header class="top"><h1><img src="/web/shared/icon.svg" alt=""/><span>${name}</span></h1><${Numbers}/>
      <${LinkState} link=${link}/><a class="btn icon quiet" href="/whatif/" aria-label=${t("wi_title")} title=${t("wi_title")}><${Icon} name="replay"/></a><${ThemeSwitch}/><button class="btn icon quiet" aria-label=${t("sign_out")} title=${t("sign_out")} onClick=${signOut}><${Icon} name="out"/></button>
      <p class="sr">${t("keys_hint")}</p></header>
    <${Alerts} pick=${pick}/><${List} pick=${pick}/><${MapArea}/><${Panel} pick=${pick}/><${Undo}/>
    <div class="sr" role="status" aria-live="polite">${said}</div></div>`;
}
render(html`<${Board}/>`, document.getElementById("app"));
