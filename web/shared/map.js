// The map: our own tiles, couriers as one drawn layer that glides between fixes. Without WebGL the page's lists are enough.
import * as maplibre from "maplibre-gl";
import { effect } from "@preact/signals";
import { theme } from "./theme.js";
import { t } from "./messages.js";

export const STALE_MS = 60_000;
const GLIDE_MS = 1100, SNAP_DEG = 0.01, FRAME_MS = 50;
const COLORS = {
  light: { available: "#15803d", busy: "#1d4ed8", on_break: "#a16207", offline: "#6f7680", halo: "#ffffff", line: "#0f766e", text: "#1c1f23" },
  dark: { available: "#4ade80", busy: "#8ab4ff", on_break: "#fbbf24", offline: "#8d97a3", halo: "#0f1318", line: "#2dd4bf", text: "#eceff3" },
};

// State by shape and colour: available a disc, busy an arrow, on a break a square; a stale one is hollow.
function icon(state, stale, color, halo) {
  const size = 44, c = size / 2, canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const g = canvas.getContext("2d");
  g.beginPath();
  if (state === "busy") { g.moveTo(c, 5); g.lineTo(size - 9, size - 8); g.lineTo(c, size - 15); g.lineTo(9, size - 8); g.closePath(); }
  else if (state === "on_break") g.rect(11, 11, size - 22, size - 22);
  else g.arc(c, c, 11, 0, 7);
  g.lineJoin = "round"; g.lineWidth = 9; g.strokeStyle = halo; g.stroke();
  g.fillStyle = stale ? halo : color; g.fill();
  g.lineWidth = stale ? 4 : 2; g.strokeStyle = color; g.stroke();
  return g.getImageData(0, 0, size, size);
}

// Makes the map inside `container`; returns { map, drivers(list), places(list), line(points), onPick } or null where it can't.
export async function makeMap(container, { bounds, interactive = true, onPick = () => {}, onTap = null, padding = 60 } = {}) {
  const info = await fetch("/map/info.json").then((r) => r.json()).catch(() => ({ available: false }));
  if (!info.available) return fallback(container, t("no_map_here"));
  const styleOf = () => info.style_url || `/map/style-${theme.value}.json`;
  let map;
  try {
    map = new maplibre.Map({ container, style: styleOf(), bounds: bounds ?? info.bounds, fitBoundsOptions: { padding, maxZoom: 16 }, maxZoom: 19, attributionControl: false, dragRotate: false, pitchWithRotate: false, interactive });
  } catch { return fallback(container, t("no_map")); }
  map.addControl(new maplibre.AttributionControl({ compact: true }), "bottom-right");
  if (interactive) map.addControl(new maplibre.NavigationControl({ showCompass: false }), "bottom-right");
  map.getCanvas().setAttribute("aria-label", t("map_label"));
  const data = { drivers: [], places: [], line: [] }, glides = new Map();
  let dirty = true, lastFrame = 0;

  const dress = () => {
    const c = COLORS[theme.value];
    for (const state of ["available", "busy", "on_break", "offline"]) for (const stale of [false, true]) {
      const name = `${state}${stale ? "-stale" : ""}`;
      if (map.hasImage(name)) map.removeImage(name);
      map.addImage(name, icon(state, stale, c[state], c.halo), { pixelRatio: 2 });
    }
    const empty = { type: "geojson", data: { type: "FeatureCollection", features: [] } };
    for (const name of ["line", "places", "drivers"]) if (!map.getSource(name)) map.addSource(name, empty);
    map.addLayer({ id: "line", type: "line", source: "line", layout: { "line-cap": "round" }, paint: { "line-color": c.line, "line-width": 3.5, "line-dasharray": [0.2, 1.8] } });
    map.addLayer({ id: "places", type: "circle", source: "places", paint: { "circle-radius": ["case", ["==", ["get", "selected"], true], 10, ["==", ["get", "kind"], "store"], 7, 4.5], "circle-color": ["case", ["==", ["get", "kind"], "store"], ["get", "color"], c.halo], "circle-stroke-width": ["case", ["==", ["get", "kind"], "store"], 2.5, 3], "circle-stroke-color": ["case", ["==", ["get", "kind"], "store"], c.halo, ["get", "color"]] } });
    map.addLayer({ id: "spot-names", type: "symbol", source: "places", filter: ["any", ["==", ["get", "kind"], "store"], ["==", ["get", "selected"], true]], minzoom: 14, layout: { "text-field": ["get", "name"], "text-font": ["sans-serif"], "text-size": 12, "text-offset": [0, 1.1], "text-anchor": "top", "text-max-width": 12 }, paint: { "text-color": c.text, "text-halo-color": c.halo, "text-halo-width": 1.6 } });
    map.addLayer({ id: "driver-ring", type: "circle", source: "drivers", filter: ["get", "selected"], paint: { "circle-radius": 17, "circle-color": c.line, "circle-opacity": 0.22, "circle-stroke-width": 2, "circle-stroke-color": c.line } });
    map.addLayer({ id: "drivers", type: "symbol", source: "drivers", layout: { "icon-image": ["get", "icon"], "icon-size": ["interpolate", ["linear"], ["zoom"], 11, 0.45, 15, 1], "icon-rotate": ["get", "heading"], "icon-allow-overlap": true, "icon-ignore-placement": true, "icon-rotation-alignment": "map" } });
    dirty = true;
    show("places", data.places); show("line", data.line);
  };
  const show = (name, features) => { const source = map.getSource(name); if (source) source.setData({ type: "FeatureCollection", features }); };

  const frame = (at) => {
    requestAnimationFrame(frame);
    if (at - lastFrame < FRAME_MS || !map.getSource("drivers")) return;
    let moving = false;
    const features = [];
    for (const driver of data.drivers) {
      const glide = glides.get(driver.id);
      if (!glide) continue;
      const share = Math.min(1, (at - glide.start) / glide.length);
      moving ||= share < 1;
      glide.now = [glide.from[0] + share * (glide.to[0] - glide.from[0]), glide.from[1] + share * (glide.to[1] - glide.from[1])];
      const stale = Date.now() - driver.position.t > STALE_MS;
      features.push({ type: "Feature", geometry: { type: "Point", coordinates: glide.now }, properties: { id: driver.id, icon: driver.state + (stale ? "-stale" : ""), heading: driver.state === "busy" ? driver.position.heading ?? 0 : 0, selected: !!driver.selected } });
    }
    if (!dirty && !moving) return;
    dirty = moving; lastFrame = at;
    show("drivers", features);
  };
  requestAnimationFrame(frame);

  map.on("style.load", dress);
  let first = true;
  effect(() => { theme.value; if (!first && !info.style_url) map.setStyle(styleOf()); first = false; });
  for (const layer of ["drivers", "places"]) {
    map.on("click", layer, (event) => onPick(event.features[0].properties.id));
    map.on("mouseenter", layer, () => { map.getCanvas().style.cursor = "pointer"; });
    map.on("mouseleave", layer, () => { map.getCanvas().style.cursor = ""; });
  }
  if (onTap) map.on("click", (event) => onTap(event.lngLat));

  return {
    map,
    drivers(list) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      for (const driver of list) {
        if (!driver.position) continue;
        const to = [driver.position.lng, driver.position.lat], old = glides.get(driver.id);
        if (old && old.to[0] === to[0] && old.to[1] === to[1]) continue;
        const far = !old || calm || Math.abs(old.now[0] - to[0]) + Math.abs(old.now[1] - to[1]) > SNAP_DEG;
        glides.set(driver.id, { from: far ? to : old.now, to, now: far ? to : old.now, start: performance.now(), length: far ? 1 : GLIDE_MS });
      }
      data.drivers = list.filter((driver) => driver.position);
      dirty = true;
    },
    places(list) {
      data.places = list.map((place) => ({ type: "Feature", geometry: { type: "Point", coordinates: [place.lng, place.lat] }, properties: place }));
      show("places", data.places);
    },
    line(points) {
      data.line = points.length < 2 ? [] : [{ type: "Feature", geometry: { type: "LineString", coordinates: points.map((p) => [p.lng, p.lat]) }, properties: {} }];
      show("line", data.line);
    },
    fit(points, pad = padding) {
      if (!points.length) return;
      const box = new maplibre.LngLatBounds();
      for (const p of points) box.extend([p.lng, p.lat]);
      map.fitBounds(box, { padding: pad, maxZoom: 16, duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 600 });
    },
  };
}
function fallback(container, text) {
  container.className += " map-fallback";
  container.textContent = text;
  return null;
}
