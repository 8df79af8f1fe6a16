// An area drawn over the map: a rectangle with one stroke, or any shape corner by corner, by mouse, finger or keys.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { count } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { Icon, html } from "../shared/ui.js";
import { drawing, setArea } from "./filterbar.js";

const CORNERS_MIN = 3, STROKE_PX = 8, CLOSE_PX = 14, STEP_PX = 12, LEAP_PX = 60;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const away = ([x, y], [x2, y2]) => Math.hypot(x - x2, y - y2);
const giveUp = () => { drawing.value = false; };

// `ground`: the places below points of the window.
export function Draw({ ground }) {
  const box = useRef(null), from = useRef(null), corners = useSignal([]), stroke = useSignal(null), cross = useSignal(null);
  const n = corners.value.length, ready = n >= CORNERS_MIN;
  useEffect(() => {
    const came = document.activeElement;
    box.current.focus();
    return () => (came.checkVisibility?.() && came !== document.body ? came : document.querySelector('[aria-controls="more"]')).focus();
  }, []);
  const here = () => box.current.getBoundingClientRect();
  const spot = (event) => [event.clientX - here().left, event.clientY - here().top];
  const finish = (points) => setArea(ground(points.map(([x, y]) => [x + here().left, y + here().top])));
  // The first corner again, or the last one twice, closes the shape.
  const put = (point) => {
    const ends = [corners.value[0], corners.value.at(-1)];
    if (ready && ends.some((end) => away(end, point) <= CLOSE_PX)) finish(corners.value); else corners.value = [...corners.value, point];
  };
  const back = () => { corners.value = corners.value.slice(0, -1); };
  const move = (event) => { if (from.current && (stroke.value || away(from.current, spot(event)) > STROKE_PX)) stroke.value = [from.current, spot(event)]; };
  const up = () => {
    if (stroke.value) finish(stroke.value); else if (from.current) put(from.current);
    from.current = stroke.value = null;
  };
  const press = (event) => {
    const { width, height } = here(), [x, y] = cross.value ?? [width / 2, height / 2], step = STEPS[event.key], px = event.shiftKey ? LEAP_PX : STEP_PX;
    if (event.key === "Escape") giveUp();
    else if (event.target !== box.current) return;
    else if (step) cross.value = [Math.min(width, Math.max(0, x + step[0] * px)), Math.min(height, Math.max(0, y + step[1] * px))];
    else if (event.key === "Enter") put([x, y]);
    else if (event.key === "Backspace") back();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const [a, b] = stroke.value ?? [], line = (stroke.value ? [a, [b[0], a[1]], b, [a[0], b[1]]] : corners.value).join(" ");
  return html`<div class="draw" ref=${box} tabindex="0" role="application" aria-label=${`${t("draw_hint")} ${t("draw_keys")}`} onKeyDown=${press} onFocus=${(e) => { if (e.target.matches(":focus-visible")) cross.value ??= [here().width / 2, here().height / 2]; }}
      onPointerDown=${(e) => { from.current = spot(e); box.current.setPointerCapture(e.pointerId); }} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => { from.current = stroke.value = null; }}>
    <svg aria-hidden="true"><polygon points=${line}/>${corners.value.map(([x, y]) => html`<circle cx=${x} cy=${y} r="6"/>`)}${cross.value && html`<path d=${`M${cross.value[0] - 14} ${cross.value[1]}h28m-14-14v28`}/>`}</svg>
    <div class="bar" onPointerDown=${(e) => e.stopPropagation()} onPointerUp=${(e) => e.stopPropagation()}><p class="num" role="status">${n ? t("ru_corners", { n: count(n) }) : t("draw_hint")}</p>
      <button class="btn main" disabled=${!ready} onClick=${() => finish(corners.value)}><${Icon} name="check"/>${t("draw_done")}</button>
      <button class="btn" disabled=${!n} onClick=${back}>${t("ru_corner_back")}</button><button class="btn icon quiet" aria-label=${t("draw_give_up")} title=${t("draw_give_up")} onClick=${giveUp}><${Icon} name="close"/></button></div></div>`;
}
