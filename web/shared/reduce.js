// What a viewer sees, as a pure function of the frames. Law: a snapshot and its deltas give what a fresh snapshot gives.
// It imports nothing, so that any test can run it.
const LISTS = { delivery: "deliveries", driver: "drivers", store: "stores", alert: "alerts" };

// Returns the object after one frame; what a frame does not touch keeps its identity.
export function reduce(view, frame) {
  if (frame.type === "snapshot") return frame.object;
  if (!view) return view;
  if (frame.type === "delta") return view.kind === "tracking" ? lastTracking(view, frame.changes) : replace(view, frame.changes);
  if (frame.type === "positions") return move(view, frame.positions);
  return view;
}

function lastTracking(view, changes) {
  const object = changes.findLast((change) => change.kind === "tracking");
  if (!object) return view;
  return object.driver && view.driver?.id === object.driver.id ? { ...object, driver: newerPosition(view.driver, object.driver) } : object;
}

function replace(view, changes) {
  const next = { ...view };
  for (const object of changes) {
    const names = object.kind === "gone" ? Object.values(LISTS) : [LISTS[object.kind]].filter(Boolean);
    for (const name of names) next[name] = put(next[name] ?? [], object);
  }
  return next;
}

function put(list, object) {
  const at = list.findIndex((item) => item.id === object.id);
  if (object.kind === "gone") return at < 0 ? list : list.toSpliced(at, 1);
  if (at < 0) return [...list, object];
  const old = list[at];
  if ((object.version ?? 0) < (old.version ?? 0)) return list;
  return list.with(at, object.kind === "driver" ? newerPosition(old, object) : object);
}

// A fact about a driver is not newer than his last position only because it came later.
function newerPosition(old, driver) {
  return old.position && old.position.t > (driver.position?.t ?? 0) ? { ...driver, position: old.position } : driver;
}

function move(view, rows) {
  const moved = new Map(rows.map((row) => [row[0], row]));
  const step = (driver) => {
    const row = driver && moved.get(driver.id);
    if (!row || row[5] < (driver.position?.t ?? 0)) return driver;
    const [, lat, lng, heading, speed_mps, t] = row;
    return { ...driver, position: { lat, lng, heading, speed_mps, t } };
  };
  return view.kind === "tracking" ? { ...view, driver: step(view.driver) } : { ...view, drivers: view.drivers.map(step) };
}
