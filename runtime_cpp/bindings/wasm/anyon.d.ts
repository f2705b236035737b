// Speech to text in the browser: models are loaded once and transcribe in a worker of their own, offline.

/** What went wrong, where, and what to try. */
export class AnyonError extends Error {
  /** As the C API names it: "ANYON_ERROR_BAD_BUNDLE", "ANYON_ERROR_CANCELLED", ... */
  readonly status: string;
  constructor(status: string, message: string);
}

export interface Word {
  /** Seconds on the clock of the recording. */
  start: number;
  end: number;
  probability: number;
  /** With the white space before it. */
  word: string;
}

export interface Segment {
  /** Counts from 0 over the recording. */
  id: number;
  /** First frame (10 ms each) of the window that held it. */
  seek: number;
  /** Seconds. */
  start: number;
  end: number;
  text: string;
  tokens: number[];
  avgLogprob: number;
  compressionRatio: number;
  noSpeechProb: number;
  temperature: number;
  /** Empty unless wordTimestamps. */
  words: Word[];
}

export interface Transcript {
  text: string;
  /** The option, or what was detected: "en", "fr", ... */
  language: string;
  /** 1 where nothing had to be detected. */
  languageProbability: number;
  /** Seconds of sound. */
  duration: number;
  segments: Segment[];
}

export interface LoadOptions {
  /** Bytes that have arrived. */
  onProgress?: (progress: { loaded: number; total: number }) => void;
  /** 1 to 64; as many as there are cores, at most 4. A page that is not cross-origin isolated has one. */
  threads?: number;
  signal?: AbortSignal;
}

export interface TranscribeOptions {
  /** Hertz of samples (16000); files are decoded to what is needed. */
  sampleRate?: number;
  /** Detected where it is not given. */
  language?: string;
  /** "translate": into English. */
  task?: 'transcribe' | 'translate';
  /** 5; 1 is fastest. */
  beamSize?: number;
  wordTimestamps?: boolean;
  /** Text that the recording follows: names, spelling. */
  initialPrompt?: string;
  /** As soon as a segment is final. */
  onSegment?: (segment: Segment) => void;
  /** Seconds transcribed and seconds there are. */
  onProgress?: (progress: { seconds: number; total: number }) => void;
  /** Ends the work within one token, or within one window on a page that is not cross-origin isolated. */
  signal?: AbortSignal;
}

export interface StreamOptions extends TranscribeOptions {
  /** What was said since the last final segment, so far as it can be told; costs time for each second of sound. */
  onPreview?: (text: string) => void;
}

/** A transcription of sound that is still coming in. */
export class AnyonStream {
  private constructor();
  /** Mono samples (-1..1). Resolves when they are taken, and with onPreview when they are worked on. */
  push(samples: Float32Array): Promise<void>;
  /** No more sound will come. */
  finish(): Promise<Transcript>;
  /** What is pending is rejected with "ANYON_ERROR_CANCELLED". */
  cancel(): void;
}

export class AnyonModel {
  private constructor();
  /** An .anyon bundle: where it is, a file that was picked, or its bytes. */
  static load(source: string | URL | Blob | ArrayBuffer, options?: LoadOptions): Promise<AnyonModel>;

  readonly name: string;
  /** How it is quantised: "f32", "int8", "int4". */
  readonly recipe: string;
  readonly licence: string;
  /** Codes of the languages it knows. */
  readonly languages: string[];
  readonly bytes: number;
  readonly sampleRate: number;
  /** Of the runtime. */
  readonly version: string;
  /** That compute. */
  readonly threads: number;

  /** Mono samples (-1..1), or a file that the browser can decode. One transcription at a time. */
  transcribe(audio: Float32Array | Blob | ArrayBuffer, options?: TranscribeOptions): Promise<Transcript>;
  stream(options?: StreamOptions): AnyonStream;
  /** Frees the memory; what is pending is rejected. */
  close(): void;
}

/** Whether this page may compute with several threads: whether it is cross-origin isolated. */
export function threadsAvailable(): boolean;

/** The sound of a file that the browser can decode: mono, 16 kHz. */
export function decodeAudio(file: Blob | ArrayBuffer): Promise<Float32Array>;
