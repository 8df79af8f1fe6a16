// What must not be lost, on the phone's disk: one ordered queue, what the server last said, and the name of this store.
// Every driver has a store of his own: nothing is ever sent in another's name.
const VERSION = 1;

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export async function openOutbox(driverId) {
  const opening = indexedDB.open(`onward-driver-${driverId}`, VERSION);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("queue", { keyPath: "n" });
    opening.result.createObjectStore("facts");
  };
  const db = await done(opening);
  // Resolves when it is on the disk, whatever becomes of the tab.
  const write = (change) => new Promise((resolve, reject) => {
    const tx = db.transaction(["queue", "facts"], "readwrite", { durability: "strict" });
    change(tx.objectStore("queue"), tx.objectStore("facts"));
    tx.oncomplete = () => resolve();
    tx.onerror = tx.onabort = () => reject(tx.error);
  });
  return {
    // { deviceId, seq, rows, state }: all there is, in order.
    async load() {
      const tx = db.transaction(["queue", "facts"]), facts = tx.objectStore("facts");
      const [rows, known, seq, state] = await Promise.all([
        done(tx.objectStore("queue").getAll()), done(facts.get("device_id")), done(facts.get("seq")), done(facts.get("state"))]);
      const deviceId = known ?? crypto.randomUUID();
      if (!known) await write((_, all) => all.put(deviceId, "device_id"));
      return { deviceId, seq: seq ?? 0, rows, state: state ?? null };
    },
    // Takes rows away, puts others, and keeps how far the numbers went: all of it or nothing.
    change: ({ put = [], remove = [], seq }) => write((queue, facts) => {
      for (const n of remove) queue.delete(n);
      for (const row of put) queue.put(row);
      if (seq !== undefined) facts.put(seq, "seq");
    }),
    keepState: (state) => write((_, facts) => facts.put(state, "state")),
    close: () => db.close(),
  };
}
