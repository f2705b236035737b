// The worker behind anyon.js: it holds one model, and one stream at a time.
'use strict';

// Pages that are not cross-origin isolated do not see this name, though shared memory itself is there. It is shared
// with nobody then: one thread computes.
if (typeof SharedArrayBuffer === 'undefined') {
  self.SharedArrayBuffer = new WebAssembly.Memory({ initial: 0, maximum: 0, shared: true }).buffer.constructor;
}
importScripts('anyon-wasm.js');

const STATUS_INVALID_ARGUMENT = 100;
const STATUS_IO = 200;
const STATUS_CANCELLED = 500;
const STATUS_OUT_OF_MEMORY = 502;
const STEP_NEED_AUDIO = 0;
const STEP_DONE = 2;
// A preview costs as much as hearing a window, so that much new sound is waited for.
const PREVIEW_SECONDS = 1;

let wasm; // the module
let model = 0;
let session = 0;
let cell = 0; // 16 doubles for what functions give back
let cancelFlag = null; // shared with the page where it may be
let cancelled = false;
let stream = null; // { handle, wantsPreview, previewed, finished, done }

class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const text = (address) => wasm.UTF8ToString(address);
// Made anew each time: memory that another thread made longer has a new buffer.
const view = (Type) => new Type(wasm.wasmMemory.buffer);
const pointer = () => view(Uint32Array)[cell >> 2];
const numbers = (count) => view(Float64Array).subarray(cell >> 3, (cell >> 3) + count);

function check(status, errorOf, handle) {
  if (status !== 0) throw new Failure(status, text(errorOf(handle)) || 'out of memory');
}

// Calls `body` with the addresses of copies of `texts` (null stays 0).
function withTexts(texts, body) {
  const addresses = texts.map((value) => {
    if (value === null) return 0;
    const bytes = wasm.lengthBytesUTF8(value) + 1;
    const address = wasm._malloc(bytes);
    wasm.stringToUTF8(value, address, bytes);
    return address;
  });
  try {
    return body(...addresses);
  } finally {
    addresses.forEach((address) => wasm._free(address));
  }
}

// ---- Loading ---------------------------------------------------------------------------------------------------------

async function open(source) {
  if (source.buffer) return { bytes: source.buffer.byteLength, body: new Response(source.buffer).body };
  if (source.blob) return { bytes: source.blob.size, body: source.blob.stream() };
  let response;
  try {
    response = await fetch(source.url);
  } catch (error) {
    throw new Failure(STATUS_IO, `${source.url}: ${error.message} (is the device offline?)`);
  }
  if (!response.ok) throw new Failure(STATUS_IO, `${source.url}: the server answered ${response.status}`);
  // A length that a compressed transfer states is not the length of what arrives.
  const stated = response.headers.get('content-encoding') ? NaN : Number(response.headers.get('content-length'));
  if (stated > 0) return { bytes: stated, body: response.body };
  const blob = await response.blob();
  return { bytes: blob.size, body: blob.stream() };
}

// Reads a bundle straight into the module's memory; gives the address.
async function read({ bytes, body }, name) {
  const address = wasm._anyon_web_allocate(bytes);
  if (address === 0) throw new Failure(STATUS_OUT_OF_MEMORY, `${name}: ${bytes} bytes do not fit into this tab's memory`);
  let at = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length <= bytes) view(Uint8Array).set(value, address + at);
    at += value.length;
    postMessage({ event: 'load', loaded: Math.min(at, bytes), total: bytes });
  }
  if (at !== bytes) {
    wasm._free(address);
    throw new Failure(STATUS_IO, `${name}: ${at} bytes arrived instead of ${bytes} (an incomplete download?)`);
  }
  return address;
}

// The module, with `helpers` threads beside this one.
function start(helpers) {
  return new Promise((resolve, reject) => {
    const settings = {
      helpers,
      mainScriptUrlOrBlob: new URL('anyon-wasm.js', self.location.href).href,
      cancelled: () => cancelled || (cancelFlag !== null && Atomics.load(cancelFlag, 0) !== 0),
      instantiateWasm(imports, receive) {
        instantiate(imports).then(({ instance, module }) => {
          receive(instance, module);
          // Else the last of the helpers to be ready says so.
          if (helpers === 0) settings.removeRunDependency('wasm-instantiate');
        }).catch(reject);
        return {};
      },
    };
    createAnyonModule(settings).then(resolve, reject);
  });
}

async function instantiate(imports) {
  const response = await fetch(new URL('anyon-wasm.wasm', self.location.href));
  if (!response.ok) throw new Error(`anyon-wasm.wasm: the server answered ${response.status}`);
  // Compiled while it arrives, and kept compiled by the browser, but only under the right type.
  if (response.headers.get('content-type') === 'application/wasm') {
    return WebAssembly.instantiateStreaming(response, imports);
  }
  return WebAssembly.instantiate(await response.arrayBuffer(), imports);
}

async function load({ source, threads, cancel }) {
  cancelFlag = cancel ? new Int32Array(cancel) : null;
  const opened = open(source);
  opened.catch(() => {}); // reported below, once the module can name it
  wasm = await start(threads - 1);
  cell = wasm._malloc(16 * 8);
  const found = await opened;
  const address = await read(found, source.url ?? source.blob?.name ?? 'bundle');
  const status = wasm._anyon_web_load(address, found.bytes, cell);
  model = pointer();
  check(status, wasm._anyon_model_error, model);
  check(wasm._anyon_web_session(model, threads, cell), wasm._anyon_session_error, (session = pointer()));
  const languages = [];
  for (let i = 0; wasm._anyon_model_language(model, i) !== 0; ++i) {
    languages.push(text(wasm._anyon_model_language(model, i)));
  }
  return withTexts(['name', 'recipe', 'licence'], (...fields) => {
    const [name, recipe, licence] = fields.map((field) => text(wasm._anyon_model_text(model, field)));
    return {
      name, recipe, licence, languages,
      bytes: found.bytes,
      sampleRate: wasm._anyon_model_sample_rate(model),
      version: text(wasm._anyon_version()),
    };
  });
}

// ---- Transcribing ----------------------------------------------------------------------------------------------------

function openStream({ language, task, beamSize, wordTimestamps, initialPrompt, preview }) {
  closeStream();
  cancelled = false;
  if (cancelFlag) Atomics.store(cancelFlag, 0, 0);
  const status = withTexts([language, initialPrompt], (languageText, promptText) =>
    wasm._anyon_web_stream(session, languageText, task === 'translate' ? 1 : 0, beamSize, wordTimestamps ? 1 : 0,
                           promptText, cell));
  const handle = pointer();
  stream = { handle, wantsPreview: preview, previewed: 0, finished: false };
  if (status === 0) return;
  const failure = new Failure(status, text(wasm._anyon_stream_error(handle)));
  closeStream();
  throw failure;
}

function closeStream() {
  if (stream) wasm._anyon_stream_free(stream.handle);
  stream = null;
}

function requireStream() {
  if (!stream) throw new Failure(STATUS_INVALID_ARGUMENT, 'stream: it is finished; open another');
  return stream;
}

function checkStream(status) {
  check(status, wasm._anyon_stream_error, stream.handle);
}

function push({ pcm, sampleRate }) {
  const { handle } = requireStream();
  const address = wasm._malloc(pcm.length * 4);
  if (address === 0) throw new Failure(STATUS_OUT_OF_MEMORY, `audio: ${pcm.length} samples do not fit into memory`);
  view(Float32Array).set(pcm, address >> 2);
  const status = wasm._anyon_stream_push(handle, address, pcm.length, sampleRate);
  wasm._free(address);
  checkStream(status);
}

function segment(index) {
  wasm._anyon_web_segment(stream.handle, index, cell);
  const [id, seek, start, end, avgLogprob, compressionRatio, noSpeechProb, temperature, textAt, tokensAt, tokenCount,
         wordCount] = numbers(12);
  const words = [];
  for (let i = 0; i < wordCount; ++i) {
    wasm._anyon_web_word(stream.handle, index, i, cell);
    const [wordStart, wordEnd, probability, wordAt] = numbers(4);
    words.push({ start: wordStart, end: wordEnd, probability, word: text(wordAt) });
  }
  const tokens = Array.from(view(Int32Array).subarray(tokensAt >> 2, (tokensAt >> 2) + tokenCount));
  return { id, seek, start, end, text: text(textAt), tokens, avgLogprob, compressionRatio, noSpeechProb, temperature,
           words };
}

function info() {
  wasm._anyon_web_info(stream.handle, cell);
  const [languageProbability, duration, progress, languageAt] = numbers(4);
  return { language: text(languageAt), languageProbability, duration, progress };
}

// Works until more sound is needed; lets messages in between windows.
async function work() {
  for (;;) {
    if (cancelled) wasm._anyon_stream_cancel(stream.handle);
    checkStream(wasm._anyon_stream_step(stream.handle, cell));
    const step = view(Int32Array)[cell >> 2];
    if (step === STEP_NEED_AUDIO) return false;
    const count = wasm._anyon_stream_segment_count(stream.handle);
    for (let i = 0; i < count; ++i) postMessage({ event: 'segment', segment: segment(i) });
    const { progress, duration } = info();
    postMessage({ event: 'progress', seconds: progress, total: duration });
    if (step === STEP_DONE) return true;
    await new Promise((resolve) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = resolve;
      channel.port2.postMessage(null);
    });
    if (!stream) throw new Failure(STATUS_CANCELLED, 'stream: cancelled');
  }
}

function preview() {
  const { duration } = info();
  if (!stream.wantsPreview || duration - stream.previewed < PREVIEW_SECONDS) return;
  stream.previewed = duration;
  checkStream(wasm._anyon_stream_preview(stream.handle, cell));
  postMessage({ event: 'preview', text: text(pointer()) });
}

async function pushAndWork(request) {
  push(request);
  if (stream.wantsPreview) {
    await work();
    preview();
  }
}

async function finish() {
  checkStream(wasm._anyon_stream_finish(requireStream().handle));
  await work();
  const { language, languageProbability, duration } = info();
  closeStream();
  return { language, languageProbability, duration };
}

// ---- Messages --------------------------------------------------------------------------------------------------------

const methods = { load, open: openStream, push: pushAndWork, finish };
let last = Promise.resolve(); // requests are answered one after the other

onmessage = ({ data: { call, method, ...request } }) => {
  if (method === 'cancel') {
    cancelled = true;
    return;
  }
  last = last.then(async () => {
    try {
      postMessage({ call, result: await methods[method](request) });
    } catch (error) {
      if (stream) closeStream();
      const known = wasm !== undefined && error instanceof Failure;
      const status = known ? text(wasm._anyon_status_name(error.status)) : 'ANYON_ERROR_INTERNAL';
      postMessage({ call, error: { status, message: error.message } });
    }
  });
};
