// The map: our own tiles, drivers as one drawn layer that glides between fixes. Without WebGL the page's words are enough.
import { effect, untracked } from "@preact/signals";
import { serverNow } from "./clock.js";
import { along, arrived, glideTo } from "./glide.js";
import { crowdsOf } from "./crowds.js";
import { COLORS, draw } from "./marks.js";
import { t } from "./messages.js";
import { theme } from "./theme.js";

export const SILENT_MS = 60_000;
export const isSilent = (driver, now) => Boolean(driver.position) && now - driver.position.t > SILENT_MS;
const FRAME_MS = 33, RECHECK_MS = 1000, CROWD_MS = 250, MARKS_MAX = 400, TOUCH_PX = 14, ZOOM_MAX = 19, MOVING_ZOOM_MAX = 13, FIT_ZOOM_MAX = 16, FIT_MS = 700, EQUATOR_M = 40_075_017, TILE_PX = 512, STEP_PX = 2;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const collection = (features) => ({ type: "FeatureCollection", features });
const point = (lng, lat, properties) => ({ type: "Feature", geometry: { type: "Point", coordinates: [lng, lat] }, properties });

// Makes the map inside `container` and returns its handle, or null where it can't be drawn (it says so in the container).
// `onPick(id)`: a driver or place was clicked. `onPoint(id or null)`: the pointer is on it. `onTap({lat, lng})`: anything was, or Enter chose the middle. `fallback`: the words without a map. `title`: which map this is, where a page has two.
export async function makeMap(container, { onPick = null, onPoint = null, onTap = null, onView = null, fallback = t("no_map"), padding = 50, title = null } = {}) {
  const say = (text) => { container.dataset.map = "none"; container.textContent = text; return null; };
  if (!document.createElement("canvas").getContext("webgl2")) return say(fallback);
  const info = await fetch("/map/info.json").then((reply) => reply.json()).catch(() => ({ available: false }));
  if (!info.available) return say(t("no_map_here"));
  // Only now: the text of the page does not wait for the biggest file.
  const [maplibre] = await Promise.all([import("maplibre-gl"), stylesheet(new URL("maplibre-gl.css", import.meta.resolve("maplibre-gl")))]);
  const styleUrl = () => info.style_url || `/map/style-${theme.value}.json`;
  let map;
  try {
    map = new maplibre.Map({
      container, style: untracked(styleUrl), bounds: info.bounds ?? undefined, fitBoundsOptions: { padding }, maxZoom: ZOOM_MAX,
      attributionControl: false, dragRotate: false, pitchWithRotate: false, fadeDuration: 0, locale: title ? { "Map.Title": title } : {},
    });
  } catch { return say(fallback); }
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibre.AttributionControl({ compact: false }), "bottom-right");
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "bottom-right");

  const data = { drivers: [], places: [], line: [], area: [], track: [], cells: [] }, glides = new Map();
  let dirty = true, drawn_at = 0, ready = false, gone = false, inside = null, crowded = false;
  const show = (name, features) => map.getSource(name)?.setData(collection(features));
  // Marks are drawn when first needed, before the feature that wears them is shown.
  const wear = (features) => {
    for (const { properties: { icon } } of features) {
      if (map.hasImage(icon)) continue;
      const mark = draw(icon, theme.value);
      map.addImage(icon, mark.image, mark.options);
    }
    return features;
  };
  map.on("style.load", () => {
    dress(map, COLORS[theme.value], info);
    ready = dirty = true;
    wear(data.places);
    show("places", data.places);
    show("line", data.line);
    show("area", data.area);
    show("cells", data.cells);
    show("track", data.track);
  });
  map.on("move", () => { inside = null; dirty = true; });
  const around = () => {
    const box = map.getBounds(), x = (box.getEast() - box.getWest()) / 4, y = (box.getNorth() - box.getSouth()) / 4;
    return [box.getWest() - x, box.getSouth() - y, box.getEast() + x, box.getNorth() + y];
  };

  if (onView) {
    const tell = () => {
      const [west, south, east, north] = around(), meters_per_px = (EQUATOR_M * Math.cos((map.getCenter().lat * Math.PI) / 180)) / (TILE_PX * 2 ** map.getZoom());
      onView({ box: [Math.max(-90, south), Math.max(-180, west), Math.min(90, north), Math.min(180, east)], step_m: STEP_PX * meters_per_px });
    };
    map.on("moveend", tell);
    tell();
  }

  // Who can be seen, and a little around: only these are worth drawing, and when they are too many they are drawn as crowds.
  const seen = () => {
    inside ??= around();
    const [west, south, east, north] = inside;
    return data.drivers.filter(({ position: { lat, lng } }) => west <= lng && lng <= east && south <= lat && lat <= north);
  };
  const markOf = (driver, at, now) => {
    const glide = glides.get(driver.id), place = along(glide, at);
    dirty ||= !crowded && !arrived(glide, at);
    const icon = driver.icon ?? `driver/${driver.state}${isSilent(driver, now) ? "/silent" : ""}`;
    const turns = driver.icon || driver.state === "busy";
    return point(place.lng, place.lat, { id: driver.id, icon, heading: turns ? place.heading : 0, selected: Boolean(driver.selected), dim: Boolean(driver.dim) });
  };
  const plate = ({ id, lat, lng, n, share }) => point(lng, lat, { id, icon: `crowd/${share.join("/")}`, heading: 0, n, selected: false, dim: false });

  const frame = (at) => {
    if (gone) return;
    requestAnimationFrame(frame);
    if (!ready || at - drawn_at < (crowded ? CROWD_MS : FRAME_MS) || !(dirty || at - drawn_at > RECHECK_MS)) return;
    const now = serverNow();
    dirty = false;
    const drivers = seen(), some = drivers.filter((driver) => driver.selected);
    crowded = drivers.length > MARKS_MAX;
    const { alone, crowds } = crowded ? crowdsOf(drivers, map.getZoom()) : { alone: drivers, crowds: [] };
    const marks = crowded ? [...alone.filter((driver) => !driver.selected), ...some] : alone;
    drawn_at = at;
    show("drivers", wear([...crowds.map(plate), ...marks.map((driver) => markOf(driver, at, now))]));
  };
  requestAnimationFrame(frame);

  let styled = untracked(styleUrl);
  const stopTheme = effect(() => {
    const wanted = styleUrl();
    if (wanted === styled) return;
    styled = wanted; ready = false;
    map.setStyle(wanted, { diff: false });
  });
  const layers = ["drivers", "places", "doors"];
  if (onPick) map.on("click", (event) => {
    const found = ready && map.queryRenderedFeatures(event.point, { layers })[0];
    if (!found) return;
    if (found.properties.n) map.easeTo({ center: found.geometry.coordinates, zoom: map.getZoom() + 2, duration: calm.matches ? 0 : FIT_MS });
    else onPick(found.properties.id);
  });
  let pointed = null;
  const pointAt = (id) => { if (id !== pointed) { pointed = id; map.getCanvas().style.cursor = id ? "pointer" : ""; onPoint?.(id); } };
  if (onPick) {
    map.on("mousemove", (event) => pointAt(ready ? (map.queryRenderedFeatures(event.point, { layers })[0]?.properties.id ?? null) : null));
    map.on("mouseout", () => pointAt(null));
  }
  const tap = ({ lat, lng }) => onTap({ lat, lng });
  if (onTap) {
    map.on("click", (event) => tap(event.lngLat));
    map.getCanvas().addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); tap(map.getCenter()); } });
  }

  return {
    // Drivers: { id, position, state } and, if wanted, `selected`, `dim`, or an `icon` of marks.js instead of the state's.
    // `still`: they are put there, they do not glide.
    drivers(list, still = false) {
      const at = performance.now();
      data.drivers = list.filter((driver) => driver.position);
      for (const { id, position } of data.drivers) {
        const old = glides.get(id);
        if (!old || old.to.lat !== position.lat || old.to.lng !== position.lng || old.t !== position.t) glides.set(id, glideTo(old, position, at, still || calm.matches));
      }
      dirty = true;
    },
    // Places: { id, kind: "store" | "door", name, lat, lng, color, selected, lit }.
    places(list) {
      data.places = list.map((place) => point(place.lng, place.lat, { ...place, selected: Boolean(place.selected), lit: Boolean(place.lit), icon: `${place.kind}/${place.color}` }));
      if (ready) show("places", wear(data.places));
    },
    // `beside`: another way to compare it with, drawn plain and below.
    line(points, beside = []) {
      const feature = (way, plain) => ({ type: "Feature", properties: { plain }, geometry: { type: "LineString", coordinates: way.map((place) => [place.lng, place.lat]) } });
      data.line = [[beside, true], [points, false]].filter(([way]) => way.length > 1).map(([way, plain]) => feature(way, plain));
      show("line", data.line);
    },
    // A way in parts of different colours: [{ points, color }].
    track(parts) {
      data.track = parts.map(({ points, color }) => ({ type: "Feature", properties: { color }, geometry: { type: "LineString", coordinates: points.map((place) => [place.lng, place.lat]) } }));
      show("track", data.track);
    },
    // Areas as GeoJSON geometries.
    shapes(list) {
      data.area = list.map((geometry) => ({ type: "Feature", geometry, properties: {} }));
      show("area", data.area);
    },
    // Pieces of the town, filled: { corners: [[lat, lng]], color }.
    cells(list) {
      const ring = (corners) => [...corners, corners[0]].map(([lat, lng]) => [lng, lat]);
      data.cells = list.map(({ corners, color }) => ({ type: "Feature", properties: { color }, geometry: { type: "Polygon", coordinates: [ring(corners)] } }));
      show("cells", data.cells);
    },
    // Ways of several colours: { points, color }.
    ways(list) {
      data.line = list.map(({ points, color }) => ({ type: "Feature", properties: { plain: false, color }, geometry: { type: "LineString", coordinates: points.map((place) => [place.lng, place.lat]) } }));
      show("line", data.line);
    },
    // What is drawn at a point of the window: the id of a driver or place, or null; fingers are broad.
    at(x, y) {
      const { left, top } = container.getBoundingClientRect(), near = [[x - left - TOUCH_PX, y - top - TOUCH_PX], [x - left + TOUCH_PX, y - top + TOUCH_PX]];
      return (ready && map.queryRenderedFeatures(near, { layers }).find((found) => !found.properties.n)?.properties.id) || null;
    },
    // The ground below points of the window; without any, below the corners of what can be seen.
    ground(points) {
      const { left, top, right, bottom } = container.getBoundingClientRect();
      return (points ?? [[left, bottom], [right, top]]).map(([x, y]) => { const { lat, lng } = map.unproject([x - left, y - top]); return { lat, lng }; });
    },
    // While something is dragged from the map the map stands still.
    still(on) { if (on) map.dragPan.disable(); else map.dragPan.enable(); },
    // After the page changed its layout: the map is measured anew before it moves.
    fit(points, room = padding, duration = FIT_MS) {
      map.resize();
      const box = new maplibre.LngLatBounds();
      for (const place of points) box.extend([place.lng, place.lat]);
      if (points.length) map.fitBounds(box, { padding: room, maxZoom: FIT_ZOOM_MAX, duration: calm.matches ? 0 : duration });
    },
    // The first look: on these points, over as much of the imported map as the view can hold and as little of nothing.
    open(points, room) {
      const [west, south, east, north] = info.bounds ?? [-180, -85, 180, 85], inside = (at, low, high) => Math.min(high, Math.max(low, at));
      this.fit(points.map(({ lat, lng }) => ({ lat: inside(lat, south, north), lng: inside(lng, west, east) })), room, 0);
      if (!info.bounds) return;
      const { lat, lng } = map.getCenter(), seen = map.getBounds();
      map.setCenter([lng + into(seen.getWest(), seen.getEast(), west, east), lat + into(seen.getSouth(), seen.getNorth(), south, north)]);
    },
    remove() { gone = true; stopTheme(); map.remove(); },
  };
}

// How far a view from `from` to `to` has to move to lie within `low` and `high`, or in their middle if it is wider.
function into(from, to, low, high) {
  if (to - from >= high - low) return (low + high - from - to) / 2;
  return Math.max(0, low - from) - Math.max(0, to - high);
}

function stylesheet(href) {
  return new Promise((loaded) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: loaded, onerror: loaded });
    document.head.prepend(link);
  });
}

// Our sources and layers over whatever base style: the edge of the map, the line, stores and doors, drivers on top.
function dress(map, colors, info) {
  for (const name of ["cells", "area", "line", "track", "places"]) map.addSource(name, { type: "geojson", data: collection([]) });
  // What moves is cut into few tiles, each of which costs at every step; one is still exact to a third of a metre.
  map.addSource("drivers", { type: "geojson", data: collection([]), maxzoom: MOVING_ZOOM_MAX });
  if (info.bounds && !info.style_url) edge(map, colors, info.bounds);
  const isDoor = ["==", ["get", "kind"], "door"], chosen = ["==", ["get", "selected"], true];
  const text = { "text-color": colors.text, "text-halo-color": colors.halo, "text-halo-width": 1.8 };
  const icons = { "icon-allow-overlap": true, "icon-ignore-placement": true };
  const label = { "text-field": ["get", "name"], "text-font": ["sans-serif"], "text-size": 12, "text-max-width": 11, "text-optional": true };
  const names = map.getStyle().layers.find((layer) => layer.type === "symbol")?.id;
  map.addLayer({ id: "cells", type: "fill", source: "cells", paint: { "fill-color": ["get", "color"], "fill-opacity": 0.62 } }, names);
  map.addLayer({ id: "cells-edge", type: "line", source: "cells", paint: { "line-color": colors.halo, "line-width": 1, "line-opacity": 0.7 } }, names);
  map.addLayer({ id: "area", type: "fill", source: "area", paint: { "fill-color": colors.line, "fill-opacity": 0.08 } });
  map.addLayer({ id: "area-edge", type: "line", source: "area", paint: { "line-color": colors.line, "line-width": 2 } });
  map.addLayer({ id: "door-ring", type: "circle", source: "places", filter: ["==", ["get", "lit"], true],
    paint: { "circle-radius": 12, "circle-color": colors.line, "circle-opacity": 0.25, "circle-stroke-width": 2, "circle-stroke-color": colors.line } });
  map.addLayer({ id: "way-beside", type: "line", source: "line", filter: ["get", "plain"], layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": colors.text, "line-width": 2, "line-opacity": 0.75 } });
  map.addLayer({ id: "way", type: "line", source: "line", filter: ["!", ["get", "plain"]], layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": ["coalesce", ["get", "color"], colors.line], "line-width": 3.5, "line-dasharray": [0.2, 1.9] } });
  const round = { "line-cap": "round", "line-join": "round" };
  map.addLayer({ id: "track-edge", type: "line", source: "track", layout: round, paint: { "line-color": colors.halo, "line-width": 8, "line-opacity": 0.9 } });
  map.addLayer({ id: "track", type: "line", source: "track", layout: round, paint: { "line-color": ["get", "color"], "line-width": 5 } });
  map.addLayer({ id: "doors", type: "circle", source: "places", filter: ["all", isDoor, ["!", chosen]],
    paint: { "circle-radius": 4.5, "circle-color": ["get", "color"], "circle-stroke-width": 2, "circle-stroke-color": colors.halo } });
  map.addLayer({ id: "places", type: "symbol", source: "places", filter: ["any", ["!", isDoor], chosen],
    layout: { ...icons, ...label, "icon-image": ["get", "icon"], "icon-anchor": ["case", isDoor, "bottom", "center"],
      "icon-size": ["interpolate", ["linear"], ["zoom"], 11, 0.6, 14, 0.9, 16, 1], "text-anchor": "top",
      "text-offset": ["case", isDoor, ["literal", [0, 0.3]], ["literal", [0, 1.2]]],
      "text-field": ["step", ["zoom"], ["case", chosen, ["get", "name"], ""], 15, ["get", "name"]] }, paint: text });
  map.addLayer({ id: "driver-ring", type: "circle", source: "drivers", filter: chosen,
    paint: { "circle-radius": 18, "circle-color": colors.line, "circle-opacity": 0.2, "circle-stroke-width": 2, "circle-stroke-color": colors.line } });
  map.addLayer({ id: "drivers", type: "symbol", source: "drivers",
    layout: { ...icons, "icon-image": ["get", "icon"], "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map",
      "icon-size": ["interpolate", ["linear"], ["zoom"], 10, ["case", ["has", "n"], 1, 0.5], 14, ["case", ["has", "n"], 1, 0.95], 16, 1.1],
      "text-field": ["case", ["has", "n"], ["to-string", ["get", "n"]], ""], "text-font": ["sans-serif"], "text-size": 13, "text-allow-overlap": true, "text-ignore-placement": true },
    paint: { "text-color": colors.text, "icon-opacity": ["case", ["==", ["get", "dim"], true], 0.3, 1] } });
}

// Beyond the imported extract there is nothing to see, and the map says so instead of looking empty.
function edge(map, colors, [west, south, east, north]) {
  const hole = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  const world = [[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]];
  map.addSource("edge", { type: "geojson", data: { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [world, hole] } } });
  const labels = map.getStyle().layers.find((layer) => layer.type === "symbol")?.id;
  const { image, options } = draw("hatch", theme.value);
  map.addImage("hatch", image, options);
  map.addLayer({ id: "beyond", type: "fill", source: "edge", paint: { "fill-color": colors.beyond } }, labels);
  map.addLayer({ id: "hatch", type: "fill", source: "edge", paint: { "fill-pattern": "hatch" } }, labels);
  map.addLayer({ id: "edge", type: "line", source: "edge", paint: { "line-color": colors.edge, "line-width": 1.2 } }, labels);
}
