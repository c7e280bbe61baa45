/* Keeps the page, the engine and the models, so that a second visit works with the server gone.

   What the server has wins where it answers; what is kept is used where it does not. What only some models need, such as
   onnxruntime-web, is kept when it was needed. The files of onnxruntime-web have their version in the address and never
   change: they are taken from what is kept. Nothing of v1/ is touched. */

const CACHE = "wordspot";
const PAGE = [
  "./", "style.css", "icon.svg", "manifest.webmanifest", "app.js", "decoder.js", "draw.js", "gain.js", "listen.js", "log.js",
  "microphone.js", "model_engine.js", "recogniser.js", "record.js", "resample.js", "stream.js", "wav.js", "words.js", "worker.js",
  "worklet.js", "zip.js", "engine/wordspot.js",
];
const LATER = ["engine/engine.wasm", "model_onnx.js", "ort.js", "selftest.js"];
const SLOW_MS = 4000; // a server that takes longer counts as gone where there is something kept

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(PAGE)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const base = new URL(registration.scope);
  if (request.method !== "GET" || url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
  const path = url.pathname.slice(base.pathname.length);
  if (path.startsWith("vendor/")) event.respondWith(fromCacheFirst(request));
  else if (path === "" || path === "models.json" || path.startsWith("models/") || PAGE.includes(path) || LATER.includes(path)) {
    event.respondWith(fromServerFirst(path === "" ? base.href : request));
  }
});

async function fromCacheFirst(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request)) ?? keep(cache, request, await fetch(request));
}

async function fromServerFirst(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  const fetched = fetch(request).then((answer) => keep(cache, request, answer));
  if (!kept) return fetched;
  const slow = new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  return (await Promise.race([fetched.catch(() => null), slow])) ?? kept;
}

async function keep(cache, request, answer) {
  if (answer.ok && !answer.redirected) await cache.put(request, answer.clone()).catch(() => {}); // the disk may be full
  return answer;
}
