// The marks on the map, drawn once each: drivers by state, stores, doors and the customer's own courier.
const RATIO = 2;
export const COLORS = {
  light: {
    available: "#15803d", busy: "#1d4ed8", on_break: "#a16207", offline: "#68707a",
    halo: "#ffffff", line: "#0f766e", text: "#1c1f23", beyond: "#eae8e3", hatch: "#dfdcd5", edge: "#b9b3a7",
  },
  dark: {
    available: "#4ade80", busy: "#8ab4ff", on_break: "#fbbf24", offline: "#939da9",
    halo: "#10151b", line: "#2dd4bf", text: "#eceff3", beyond: "#0c0f13", hatch: "#161b21", edge: "#3a434f",
  },
};

// Names are the drawing's arguments: "driver/busy/silent", "crowd/3/4" (eighths), "store/#b45309", "door/#b45309", "courier/#b45309".
export function draw(name, theme) {
  const [kind, what, more] = name.split("/"), colors = COLORS[theme];
  if (kind === "driver") return driver(what, more === "silent", colors[what], colors);
  if (kind === "crowd") return crowd(Number(what), Number(more), colors);
  if (kind === "store") return store(what, colors.halo);
  if (kind === "door") return door(what, colors.halo);
  if (kind === "hatch") return hatch(colors.hatch);
  if (kind === "courier") return courier(what, colors.halo);
  return null;
}

function paper(size) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * RATIO;
  const g = canvas.getContext("2d");
  g.scale(RATIO, RATIO);
  g.lineJoin = g.lineCap = "round";
  return { g, done: () => ({ image: g.getImageData(0, 0, size * RATIO, size * RATIO), options: { pixelRatio: RATIO } }) };
}
const ARROW = (c, r) => new Path2D(`M${c} ${c - r} L${c + r * 0.82} ${c + r * 0.86} L${c} ${c + r * 0.46} L${c - r * 0.82} ${c + r * 0.86} Z`);
const DISC = (c, r) => { const path = new Path2D(); path.arc(c, c, r, 0, 7); return path; };

// Only drivers wear the dark ring: a business may have any colour, and is never taken for a state.
function driver(state, silent, color, { halo, text }) {
  const { g, done } = paper(24);
  const busy = state === "busy", shape = busy ? ARROW(12, 9) : DISC(12, state === "offline" ? 5 : 7);
  g.strokeStyle = halo; g.lineWidth = 5; g.stroke(shape);
  g.fillStyle = busy && !silent ? color : halo; g.fill(shape);
  if (silent) g.setLineDash([2.6, 2.6]);
  g.strokeStyle = state === "offline" ? color : text; g.lineWidth = busy && !silent ? 1.4 : 2; g.stroke(shape);
  g.setLineDash([]);
  g.fillStyle = g.strokeStyle = color;
  if (state === "available" && !silent) g.fill(DISC(12, 4));
  if (state === "on_break") { g.lineWidth = 2; g.stroke(new Path2D("M10.2 9.6v4.8M13.8 9.6v4.8")); }
  return done();
}
// A plate with a ring: as much of it in a state's colour as there are drivers in that state.
function crowd(available, busy, { halo, text, ...colors }) {
  const { g, done } = paper(44), turn = Math.PI / 4, top = -Math.PI / 2;
  g.fillStyle = halo; g.fill(DISC(22, 21));
  g.lineCap = "butt"; g.lineWidth = 5;
  const parts = [[available, colors.available], [busy, colors.busy], [Math.max(0, 8 - available - busy), colors.offline]];
  let from = top;
  for (const [eighths, color] of parts) {
    g.strokeStyle = color; g.beginPath(); g.arc(22, 22, 17.5, from, from + eighths * turn); g.stroke();
    from += eighths * turn;
  }
  g.strokeStyle = text; g.lineWidth = 1; g.stroke(DISC(22, 20.5));
  return done();
}
function store(color, halo) {
  const { g, done } = paper(30), box = new Path2D();
  box.roundRect(4, 4, 22, 22, 6);
  g.strokeStyle = halo; g.lineWidth = 4; g.stroke(box);
  g.fillStyle = color; g.fill(box);
  g.strokeStyle = "#ffffff"; g.lineWidth = 1.7;
  g.stroke(new Path2D("M9 13.2 10.4 9.5h9.2l1.4 3.7M9 13.2c0 2.3 4 2.3 4 0 0 2.3 4 2.3 4 0 0 2.3 4 2.3 4 0M10.6 15.6v5h8.8v-5"));
  return done();
}
function door(color, halo) {
  const { g, done } = paper(44);
  const pin = new Path2D("M22 40C16.5 33 10 27.5 10 19a12 12 0 0 1 24 0c0 8.5-6.5 14-12 21Z");
  g.strokeStyle = halo; g.lineWidth = 4; g.stroke(pin);
  g.fillStyle = color; g.fill(pin);
  g.strokeStyle = "#ffffff"; g.lineWidth = 1.9;
  g.stroke(new Path2D("M16.4 19 22 13.8l5.6 5.2M18.2 18v6h7.6v-6"));
  return done();
}
function courier(color, halo) {
  const { g, done } = paper(56);
  g.fillStyle = color; g.globalAlpha = 0.2; g.fill(DISC(28, 26)); g.globalAlpha = 1;
  g.fillStyle = halo; g.fill(DISC(28, 17));
  g.fillStyle = color; g.fill(DISC(28, 14.5));
  g.fillStyle = "#ffffff"; g.fill(ARROW(28, 8));
  return done();
}
function hatch(color) {
  const { g, done } = paper(12);
  g.strokeStyle = color; g.lineWidth = 1.6;
  g.stroke(new Path2D("M-3 3 3 -3M-3 15 15 -3M9 15 15 9"));
  return done();
}
