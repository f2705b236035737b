// Keeps the page and the runtime for visits without a network; models are kept by model-store.js.
const STORE = 'anyon-page';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin || pathname.endsWith('.anyon')) return;
  event.respondWith((async () => {
    const store = await caches.open(STORE);
    try {
      const response = await fetch(request);
      if (response.ok) await store.put(request, response.clone());
      return response;
    } catch (error) {
      const kept = await store.match(request);
      if (kept) return kept;
      throw error;
    }
  })());
});
