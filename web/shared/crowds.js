// Too many drivers for single marks: who is near whom on the screen is one crowd with a number. Pure, so that any test can run it.
const TILE_PX = 512, CELL_PX = 84, ALONE_MAX = 2, EIGHTHS = 8;
const mercator = (lat) => (1 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) / 2;

// Returns { alone: [driver], crowds: [{ id, lat, lng, n, share: [available, busy] in eighths }] } of drivers at a zoom level.
// Cells are fixed to the ground, so that moving the map changes no crowd.
export function crowdsOf(drivers, zoom) {
  const cells = new Map(), across = (TILE_PX * 2 ** Math.floor(zoom)) / CELL_PX;
  for (const driver of drivers) {
    const { lat, lng } = driver.position;
    const id = `${Math.floor((lng / 360 + 0.5) * across)}:${Math.floor(mercator(lat) * across)}`;
    const cell = cells.get(id);
    if (cell) cell.push(driver); else cells.set(id, [driver]);
  }
  const alone = [], crowds = [];
  for (const [id, members] of cells) {
    if (members.length <= ALONE_MAX) { alone.push(...members); continue; }
    const mean = (name) => members.reduce((sum, one) => sum + one.position[name], 0) / members.length;
    const part = (state) => Math.round((EIGHTHS * members.filter((one) => one.state === state).length) / members.length);
    crowds.push({ id: `crowd:${Math.floor(zoom)}:${id}`, lat: mean("lat"), lng: mean("lng"), n: members.length, share: [part("available"), part("busy")] });
  }
  return { alone, crowds };
}
