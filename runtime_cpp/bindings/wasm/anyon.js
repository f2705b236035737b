// Speech to text in the browser. Everything runs in a worker of its own; nothing leaves the device.
// Types and descriptions: anyon.d.ts.

export class AnyonError extends Error {
  constructor(status, message) {
    super(message);
    this.name = 'AnyonError';
    this.status = status;
  }
}

const RATE = 16000; // what decoded files are brought to, and what plain samples are taken for
const PUSH_SECONDS = 30; // sound handed over at a time, so that a long recording is not copied as a whole
const STREAM_OPTIONS = ['sampleRate', 'language', 'task', 'beamSize', 'wordTimestamps', 'initialPrompt', 'onSegment',
                        'onProgress', 'onPreview', 'signal'];

function refuseUnknown(options, known, where) {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new AnyonError('ANYON_ERROR_UNSUPPORTED_OPTION',
                           `${where}: no option '${name}'; there are ${known.join(', ')}`);
    }
  }
}

/** Whether pages here may compute with several threads. */
export const threadsAvailable = () => globalThis.crossOriginIsolated === true;

/** The sound of a file that the browser can decode: mono, 16 kHz. */
export async function decodeAudio(file) {
  const bytes = file instanceof ArrayBuffer ? file.slice(0) : await file.arrayBuffer();
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
  } catch {
    throw new AnyonError('ANYON_ERROR_BAD_AUDIO',
                         `${file.name ?? 'audio'}: this browser cannot decode it; try WAV, MP3, M4A, OGG or FLAC`);
  }
  const mono = sound.getChannelData(0).slice();
  for (let channel = 1; channel < sound.numberOfChannels; ++channel) {
    const samples = sound.getChannelData(channel);
    for (let i = 0; i < mono.length; ++i) mono[i] += samples[i];
  }
  if (sound.numberOfChannels > 1) {
    for (let i = 0; i < mono.length; ++i) mono[i] /= sound.numberOfChannels;
  }
  return mono;
}

// The worker as functions that answer, and events.
class Connection {
  #worker;
  #calls = new Map();
  #count = 0;
  onEvent = () => {};

  constructor() {
    this.#worker = new Worker(new URL('./anyon-worker.js', import.meta.url));
    this.#worker.onmessage = ({ data }) => {
      if (data.event) return this.onEvent(data);
      if (!this.#calls.has(data.call)) return; // an answer that was on its way when the worker was closed
      const { resolve, reject } = this.#calls.get(data.call);
      this.#calls.delete(data.call);
      if (data.error) reject(new AnyonError(data.error.status, data.error.message));
      else resolve(data.result);
    };
    this.#worker.onerror = (event) => {
      this.close(new AnyonError('ANYON_ERROR_INTERNAL', `the worker failed: ${event.message ?? 'it did not start'}`));
    };
  }

  call(method, request = {}, transfer = []) {
    return new Promise((resolve, reject) => {
      this.#calls.set(++this.#count, { resolve, reject });
      this.#worker.postMessage({ call: this.#count, method, ...request }, transfer);
    });
  }

  tell(method) {
    this.#worker.postMessage({ method });
  }

  close(error) {
    this.#worker.terminate();
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}

export class AnyonStream {
  #connection;
  #sampleRate;
  #cancelFlag;
  #options;
  #ended;
  #opened;
  #failed = null;
  #segments = [];

  /** Made by AnyonModel.stream(). */
  constructor(connection, cancelFlag, options, ended) {
    this.#connection = connection;
    this.#cancelFlag = cancelFlag;
    this.#options = options;
    this.#ended = ended;
    this.#sampleRate = options.sampleRate ?? RATE;
    connection.onEvent = (event) => this.#hear(event);
    options.signal?.addEventListener('abort', this.#abort);
    this.#opened = connection.call('open', {
      language: options.language ?? null,
      task: options.task ?? 'transcribe',
      beamSize: options.beamSize ?? 0,
      wordTimestamps: options.wordTimestamps ?? false,
      initialPrompt: options.initialPrompt ?? null,
      preview: options.onPreview !== undefined,
    });
    this.#opened.catch((error) => this.#end(error));
    if (options.signal?.aborted) this.cancel();
  }

  async push(samples) {
    await this.#opened;
    const step = PUSH_SECONDS * this.#sampleRate;
    for (let at = 0; at < samples.length; at += step) {
      const pcm = samples.slice(at, at + step);
      await this.#run('push', { pcm, sampleRate: this.#sampleRate }, [pcm.buffer]);
    }
  }

  async finish() {
    await this.#opened;
    const { language, languageProbability, duration } = await this.#run('finish');
    this.#end(new AnyonError('ANYON_ERROR_INVALID_ARGUMENT', 'stream: it is finished; open another'));
    const text = this.#segments.map((segment) => segment.text).join('').trim();
    return { text, language, languageProbability, duration, segments: this.#segments };
  }

  cancel() {
    if (this.#failed) return;
    if (this.#cancelFlag) Atomics.store(this.#cancelFlag, 0, 1);
    this.#connection.tell('cancel');
  }

  #abort = () => this.cancel();

  #hear({ event, ...data }) {
    if (event === 'segment') {
      this.#segments.push(data.segment);
      this.#options.onSegment?.(data.segment);
    } else if (event === 'progress') {
      this.#options.onProgress?.(data);
    } else if (event === 'preview') {
      this.#options.onPreview?.(data.text);
    }
  }

  async #run(method, request, transfer) {
    if (this.#failed) throw this.#failed;
    try {
      return await this.#connection.call(method, request, transfer);
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  #end(error) {
    if (this.#failed) return;
    this.#failed = error;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#ended();
  }
}

export class AnyonModel {
  #connection;
  #cancelFlag;
  #stream = null;
  #closed = false;

  static async load(source, options = {}) {
    refuseUnknown(options, ['onProgress', 'threads', 'signal'], 'load');
    const { onProgress, signal } = options;
    const cores = navigator.hardwareConcurrency || 1;
    const wanted = options.threads ?? Math.min(4, cores);
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > 64) {
      throw new AnyonError('ANYON_ERROR_INVALID_ARGUMENT', `threads: ${wanted} is not a whole number from 1 to 64`);
    }
    const threads = threadsAvailable() ? wanted : 1;
    const cancel = threadsAvailable() ? new SharedArrayBuffer(4) : null;
    const connection = new Connection();
    const stop = () => connection.close(new AnyonError('ANYON_ERROR_CANCELLED', 'load: cancelled'));
    signal?.addEventListener('abort', stop);
    connection.onEvent = ({ loaded, total }) => onProgress?.({ loaded, total });
    let about;
    if (source instanceof ArrayBuffer) about = { buffer: source };
    else if (source instanceof Blob) about = { blob: source };
    else about = { url: new URL(source, globalThis.document?.baseURI ?? location.href).href };
    try {
      const answer = connection.call('load', { source: about, threads, cancel });
      if (signal?.aborted) stop();
      return new AnyonModel(connection, cancel && new Int32Array(cancel), { ...(await answer), threads });
    } catch (error) {
      connection.close(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Made by AnyonModel.load(). */
  constructor(connection, cancelFlag, facts) {
    this.#connection = connection;
    this.#cancelFlag = cancelFlag;
    Object.assign(this, facts);
  }

  stream(options = {}) {
    refuseUnknown(options, STREAM_OPTIONS, 'stream');
    if (this.#closed) throw new AnyonError('ANYON_ERROR_INVALID_ARGUMENT', 'model: it is closed; load it again');
    if (this.#stream) {
      throw new AnyonError('ANYON_ERROR_BUSY', 'model: it is transcribing; wait for that, cancel it, or load another');
    }
    this.#stream = new AnyonStream(this.#connection, this.#cancelFlag, options, () => (this.#stream = null));
    return this.#stream;
  }

  async transcribe(audio, options = {}) {
    refuseUnknown(options, STREAM_OPTIONS.filter((name) => name !== 'onPreview'), 'transcribe');
    const samples = audio instanceof Float32Array ? audio : await decodeAudio(audio);
    const sampleRate = audio instanceof Float32Array ? options.sampleRate : RATE;
    const stream = this.stream({ ...options, sampleRate: sampleRate ?? RATE });
    await stream.push(samples);
    return stream.finish();
  }

  close() {
    this.#closed = true;
    this.#connection.close(new AnyonError('ANYON_ERROR_CANCELLED', 'model: closed'));
  }
}
