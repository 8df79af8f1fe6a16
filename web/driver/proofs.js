// What else a hand-over may need than a photo: the customer's PIN or the parcel's barcode, typed or read by the camera, or a signature.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { t } from "../shared/messages.js";
import { Icon, html } from "../shared/ui.js";
import { at, link, report, say } from "./state.js";

const SCAN_MS = 250, PEN_PX = 2.6, NAME_FONT = "italic 44px Georgia, serif";
const ICONS = { pin: "check", barcode: "camera", signature: "note" };
// The stop whose proof is asked for, or null.
export const asking = signal(null);
const close = () => { asking.value = null; };
const canScan = "BarcodeDetector" in window && Boolean(navigator.mediaDevices);

export function ProofButton({ stop }) {
  return html`<button class="btn main huge" onClick=${() => { asking.value = stop; }}><${Icon} name=${ICONS[stop.proof]}/>${t(`dr_ask_${stop.proof}`)}</button>`;
}
// A dialog of the browser's: it holds the focus, and Escape closes it. It is open before its content measures itself.
export function Proof() {
  const dialog = useRef(null), stop = asking.value;
  useLayoutEffect(() => { if (stop) dialog.current.showModal(); else dialog.current.close(); }, [stop]);
  return html`<dialog class="proof" ref=${dialog} aria-labelledby="proof-title" onClose=${close}>
    ${stop && html`<h2 id="proof-title">${t(`dr_ask_${stop.proof}`)}</h2>${stop.proof === "signature" ? html`<${Sign} stop=${stop}/>` : html`<${Code} stop=${stop}/>`}`}</dialog>`;
}

function Code({ stop }) {
  const isPin = stop.proof === "pin", send = (code) => { report(stop, "delivered", { code }); close(); };
  const submit = (event) => { event.preventDefault(); send(new FormData(event.target).get("code")); };
  const digits = isPin ? { inputmode: "numeric", pattern: "[0-9 ]{6,7}", maxlength: 7 } : { maxlength: 200 };
  return html`${!isPin && canScan && html`<${Scan} onFound=${send}/>`}<form onSubmit=${submit}>
    <label class="field">${t(`dr_type_${stop.proof}`)}<input class="num" name="code" required autocomplete="off" autocapitalize="off" spellcheck=${false} ...${digits}/></label>
    <button class="btn main huge"><${Icon} name="check"/>${t("dr_do_delivered")}</button><button class="btn quiet" type="button" onClick=${close}>${t("dr_back")}</button></form>`;
}
// The camera looks for a code until it finds one; without a camera the field below is there.
function Scan({ onFound }) {
  const video = useRef(null), [failed, setFailed] = useState(false);
  useEffect(() => {
    const detector = new BarcodeDetector();
    let stream = null, timer = 0, over = false;
    const look = async () => {
      const [found] = video.current.readyState < HTMLMediaElement.HAVE_CURRENT_DATA ? [] : await detector.detect(video.current).catch(() => []);
      if (over) return;
      if (found) { navigator.vibrate?.(60); onFound(found.rawValue); } else timer = setTimeout(look, SCAN_MS);
    };
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then((camera) => {
      stream = camera;
      if (over) { end(); return; }
      video.current.srcObject = camera;
      look();
    }, () => { if (!over) setFailed(true); });
    const end = () => { over = true; clearTimeout(timer); stream?.getTracks().forEach((track) => track.stop()); };
    return end;
  }, []);
  return failed ? html`<p class="hint" role="status">${t("dr_no_camera")}</p>` : html`<video ref=${video} autoplay muted playsinline aria-label=${t("dr_scanning")}></video>`;
}

// Drawn with a finger; who can't draws nothing and types a name, which is written into the picture.
function Sign({ stop }) {
  const canvas = useRef(null), pen = useRef(null), [drawn, setDrawn] = useState(false), [name, setName] = useState("");
  const blank = () => {
    const { width, height } = canvas.current, g = pen.current;
    g.fillStyle = "#ffffff"; g.fillRect(0, 0, width, height);
    g.strokeStyle = g.fillStyle = "#10151b";
  };
  useEffect(() => {
    const { clientWidth, clientHeight } = canvas.current, g = pen.current = canvas.current.getContext("2d");
    canvas.current.width = clientWidth * 2; canvas.current.height = clientHeight * 2;
    g.lineWidth = PEN_PX * 2; g.lineCap = g.lineJoin = "round"; g.font = NAME_FONT;
    blank();
  }, []);
  const spot = ({ offsetX, offsetY }) => [offsetX * 2, offsetY * 2];
  const down = (event) => { canvas.current.setPointerCapture(event.pointerId); pen.current.beginPath(); pen.current.moveTo(...spot(event)); };
  const move = (event) => { if (!event.buttons) return; pen.current.lineTo(...spot(event)); pen.current.stroke(); setDrawn(true); };
  const again = () => { blank(); setDrawn(false); setName(""); };
  const done = async (event) => {
    event.preventDefault();
    if (name) pen.current.fillText(name, 32, canvas.current.height - 32);
    const picture = await new Promise((made) => { canvas.current.toBlob(made, "image/png"); }), place = at.peek();
    if (!picture) { say(t("dr_bad_photo")); return; }
    await link.value.photograph(stop.delivery_id, picture, place && { lat: place.lat, lng: place.lng }, "signature");
    close();
  };
  return html`<form onSubmit=${done}><canvas ref=${canvas} role="img" aria-label=${t("dr_sign_here")} onPointerDown=${down} onPointerMove=${move}></canvas>
    <label class="field">${t("dr_sign_name")}<input maxlength="60" autocomplete="off" value=${name} onInput=${(event) => setName(event.target.value.trim())}/></label>
    <button class="btn main huge" disabled=${!drawn && !name}><${Icon} name="check"/>${t("dr_sign_done")}</button>
    <div class="pair"><button class="btn" type="button" onClick=${again}>${t("ru_clear")}</button><button class="btn quiet" type="button" onClick=${close}>${t("dr_back")}</button></div></form>`;
}
