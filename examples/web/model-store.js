// Models that were downloaded once, kept by the browser for the next visit.
import { AnyonError } from './anyon/anyon.js';

const STORE = 'anyon-models';

/** The models that the server offers: [{file, bytes, kept}]. */
export async function offered() {
  const response = await fetch('models/index.json');
  if (!response.ok) return [];
  const models = await response.json();
  return Promise.all(models.map(async (model) => ({ ...model, kept: await isKept(model.file) })));
}

const address = (file) => new URL(`models/${encodeURIComponent(file)}`, document.baseURI).href;

async function isKept(file) {
  // Insecure pages have no store.
  return 'caches' in globalThis && (await (await caches.open(STORE)).match(address(file))) !== undefined;
}

/** The bundle as a Blob: from the store, or downloaded and put there. */
export async function fetchModel(file, { onProgress, signal }) {
  const store = 'caches' in globalThis ? await caches.open(STORE) : null;
  const kept = await store?.match(address(file));
  if (kept) return kept.blob();
  const response = await fetch(address(file), { signal });
  if (!response.ok) throw new AnyonError('ANYON_ERROR_IO', `${file}: the server answered ${response.status}`);
  const total = Number(response.headers.get('content-length'));
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    loaded += value.length;
    onProgress({ loaded, total });
  }
  const blob = new Blob(chunks);
  if (total > 0 && blob.size !== total) {
    throw new AnyonError('ANYON_ERROR_IO', `${file}: ${blob.size} of ${total} bytes arrived; try again`);
  }
  // A full disk must not keep the model from being used now.
  await store?.put(address(file), new Response(blob)).catch(() => {});
  return blob;
}

/** Forgets a model that turned out to be damaged. */
export async function forget(file) {
  if ('caches' in globalThis) await (await caches.open(STORE)).delete(address(file));
}
