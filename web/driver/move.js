// Where to wait, when there is no work: a place that orders come from, on a map, to follow or to wave away.
import { useEffect, useRef } from "preact/hooks";
import { meters } from "../shared/format.js";
import { makeMap } from "../shared/map.js";
import { t } from "../shared/messages.js";
import { Icon, html } from "../shared/ui.js";
import { at, declineMove } from "./state.js";
import { NEAR_M, mapLink, metersTo } from "./work.js";

const COLOR = "#0f766e";

function Sketch({ move, label }) {
  const ref = useRef(null);
  useEffect(() => {
    let map = null, gone = false;
    makeMap(ref.current, { fallback: "" }).then((made) => {
      map = made;
      if (!map || gone) { map?.remove(); return; }
      const me = at.peek(), way = [...(me ? [me] : []), move];
      map.places([{ ...move, id: "there", kind: "store", color: COLOR, selected: true }]);
      map.line(way);
      if (me) map.drivers([{ id: "me", position: me, state: "available" }]);
      map.fit(way, { top: 50, bottom: 30, left: 40, right: 40 }, 0);
    });
    return () => { gone = true; map?.remove(); };
  }, [move.id, Boolean(at.value)]);
  return html`<div class="sketch" role="img" aria-label=${label}><div ref=${ref}></div></div>`;
}
export function Move({ move }) {
  const far = at.value ? metersTo(move, at.value) : null;
  if (far !== null && far <= NEAR_M) return html`<p class="note" role="status">${t("dr_move_here", { name: move.name })}</p>`;
  const distance = far === null ? "" : meters(far);
  return html`<section class="move" aria-labelledby="move-title"><${Sketch} key=${move.id} move=${move} label=${t("dr_move_map", { name: move.name, distance })}/>
    <div role="status"><h2 id="move-title">${t("dr_move", { name: move.name })}${distance && html` <span class="num">· ${distance}</span>`}</h2><p>${t("dr_move_hint")}</p></div>
    <div class="pair"><a class="btn" href=${mapLink(move)}><${Icon} name="away"/>${t("dr_navigate")}</a><button class="btn" onClick=${() => declineMove(move)}>${t("dr_move_no")}</button></div></section>`;
}
