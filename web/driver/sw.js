// Opens the driver's page without a network. The server writes RELEASE, FILES and VENDOR above this line: when any file changes, this one does.
const CACHE = `driver-${RELEASE}`, PAGE = "/driver/";

addEventListener("install", (event) => {
  const fresh = FILES.map((path) => new Request(path, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => skipWaiting()));
});
addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("driver-") && name !== CACHE;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()));
});
// The page and its parts come from here first; the map's code is kept once it was used; all else is the network's.
addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin) return;
  if (event.request.mode === "navigate" && pathname === PAGE) event.respondWith(kept(PAGE));
  else if (FILES.includes(pathname)) event.respondWith(kept(pathname));
  else if (pathname.startsWith(VENDOR)) event.respondWith(keptOnceUsed(event.request));
});
async function kept(path) {
  return (await caches.match(path, { cacheName: CACHE })) ?? fetch(path);
}
async function keptOnceUsed(request) {
  const cache = await caches.open(CACHE), found = await cache.match(request.url);
  if (found) return found;
  const reply = await fetch(request);
  if (reply.ok) await cache.put(request.url, reply.clone());
  return reply;
}
