/* anyon: speech to text on the device, from one bundle file. This header is the library's only ABI.
 *
 *   anyon_model* model;
 *   anyon_session* session;
 *   anyon_transcribe_params params = anyon_transcribe_params_default();
 *   if (anyon_model_load("tiny.en.anyon", NULL, &model) != ANYON_OK) puts(anyon_model_error(model));
 *   else if (anyon_session_create(model, NULL, &session) == ANYON_OK &&
 *            anyon_session_transcribe(session, pcm, samples, 16000, &params) == ANYON_OK)
 * puts(anyon_session_text(session));
 *
 * Conventions
 * - Every function that can fail returns an anyon_status; the message is kept by the handle it concerns.
 * - A function that makes a handle gives one even when it fails (NULL only when memory for that is missing), so that
 *   its error can be read. Free it as any other. Freeing NULL does nothing.
 * - Structs that the caller fills begin with their own size; take them from their *_default() function, then change
 *   fields. NULL in place of such a struct stands for the defaults. Fields are only ever added at the end: a newer
 *   library takes the defaults of those the caller does not have, an older one refuses those it does not know unless
 *   they are zero. Bindings of other languages call *_init() with the size they know.
 * - Structs that the library fills (anyon_segment, anyon_transcribe_info) are read through pointers and may become
 *   longer in a later version. anyon_word is an array element and never changes.
 * - Text is UTF-8 and ends with a zero byte. Strings and arrays passed in are only read during the call.
 * - Flags are int32_t: 0 is off, 1 is on.
 * - The library never throws, aborts, exits, prints, or changes the process's state (locale, signals, environment);
 *   it keeps no state between handles. Callbacks must not throw or longjmp through it, and must not call the handle
 *   that is calling them, but for its *_cancel function.
 * - The environment variable ANYON_ISA is read when a model is loaded without `isa`; no other is.
 *
 * Threads
 * - A model is immutable: any number of threads may make sessions of it at once. Free it when you like; sessions keep
 *   what they need of it.
 * - A session, and the stream opened on it, belong to one thread at a time. Only the *_cancel functions may be called
 *   from any thread while another uses the handle; nobody may use a handle while it is being freed.
 */
#ifndef ANYON_ANYON_H
#define ANYON_ANYON_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(ANYON_SHARED)
#if defined(ANYON_BUILDING)
#define ANYON_API __declspec(dllexport)
#else
#define ANYON_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define ANYON_API __attribute__((visibility("default")))
#else
#define ANYON_API
#endif

#ifdef __cplusplus
extern "C" {
#define ANYON_NOEXCEPT noexcept
#else
#define ANYON_NOEXCEPT
#endif

/* The version of this header; anyon_version_*() tell those of the library. */
#define ANYON_VERSION_MAJOR 0
#define ANYON_VERSION_MINOR 1
#define ANYON_VERSION_PATCH 0
/* Rises with every incompatible change of this interface; part of the shared library's name. */
#define ANYON_ABI_VERSION 0

/* ---- Status ---------------------------------------------------------------------------------------------------- */

/* Ranges by area: a program may act on the area (status / 100) without knowing every code. New codes may appear. */
typedef int32_t anyon_status;
enum {
  ANYON_OK = 0,
  /* 100-199: the caller's arguments */
  ANYON_ERROR_INVALID_ARGUMENT = 100,
  ANYON_ERROR_UNSUPPORTED_OPTION = 101,
  /* 200-299: files and bundles */
  ANYON_ERROR_IO = 200,
  ANYON_ERROR_BAD_BUNDLE = 201,
  ANYON_ERROR_UNSUPPORTED_VERSION = 202,
  ANYON_ERROR_BAD_TOKENIZER = 203,
  ANYON_ERROR_BAD_SIGNATURE = 204,
  /* 300-399: programs and backends */
  ANYON_ERROR_BAD_PROGRAM = 300,
  ANYON_ERROR_UNSUPPORTED_OP = 301,
  ANYON_ERROR_UNSUPPORTED_ISA = 302,
  ANYON_ERROR_BACKEND_FAILED = 303,
  /* 400-499: signals */
  ANYON_ERROR_BAD_AUDIO = 400,
  /* 500-599: running */
  ANYON_ERROR_CANCELLED = 500,
  ANYON_ERROR_POISONED = 501,
  ANYON_ERROR_OUT_OF_MEMORY = 502,
  ANYON_ERROR_BUSY = 503,
  ANYON_ERROR_INTERNAL = 599
};

/* "ANYON_OK", "ANYON_ERROR_IO", ...; "unknown" for a code this library does not have. */
ANYON_API const char* anyon_status_name(anyon_status status) ANYON_NOEXCEPT;

/* ---- The library ----------------------------------------------------------------------------------------------- */

ANYON_API const char* anyon_version(void) ANYON_NOEXCEPT; /* "0.1.0" */
ANYON_API int32_t anyon_abi_version(void) ANYON_NOEXCEPT;
ANYON_API int32_t anyon_bundle_format_version(void)
    ANYON_NOEXCEPT; /* the newest format it reads; it reads all before */

typedef int32_t anyon_capability;
enum {
  ANYON_CAPABILITY_ISA = 0,      /* instruction sets of this build that this machine runs, slowest first */
  ANYON_CAPABILITY_OP = 1,       /* ops of fused programs */
  ANYON_CAPABILITY_GRAPH_OP = 2, /* ONNX operators of graph programs; none where the build left graphs out */
  ANYON_CAPABILITY_TASK = 3      /* "transcribe", "translate" */
};

/* The index-th name of what the library can do; NULL after the last, and for a kind this library does not know. */
ANYON_API const char* anyon_capability_name(anyon_capability kind, size_t index) ANYON_NOEXCEPT;

/* ---- Callbacks ------------------------------------------------------------------------------------------------- */

/* Memory for weights that are copied, activations and states: what grows with the model and the signal. Small
 * bookkeeping uses the C++ heap. Both functions are called from any thread that uses the model or its sessions.
 * allocate: at least `bytes` bytes aligned to `alignment` (a power of two), or NULL; they need not be cleared.
 * release: `bytes` is what was asked for. */
typedef struct anyon_allocator {
  void* (*allocate)(void* user, size_t bytes, size_t alignment);
  void (*release)(void* user, void* memory, size_t bytes);
  void* user;
} anyon_allocator;

typedef int32_t anyon_log_level;
enum { ANYON_LOG_DEBUG = 0, ANYON_LOG_INFO = 1, ANYON_LOG_WARNING = 2, ANYON_LOG_ERROR = 3 };

/* One line without its end. Called from the thread that called the library. */
typedef void (*anyon_log_callback)(void* user, anyon_log_level level, const char* message);

/* ---- Model ----------------------------------------------------------------------------------------------------- */

/* A bundle, opened and checked. Threads: any number at once. */
typedef struct anyon_model anyon_model;

typedef struct anyon_model_params {
  size_t size;                /* of this struct */
  const char* isa;            /* one of ANYON_CAPABILITY_ISA; NULL: what ANYON_ISA names, else the fastest */
  int32_t verify_data;        /* 1 (default): compare the whole file with its hashes, so that damage is never text */
  const char* public_key_pem; /* NULL: no signature is asked for. Else an ECDSA P-256 key that the bundle's detached
                                 signature must verify with: <bundle>.sig, or `signature` (OpenSSF model signing) */
  const char* signature;      /* the content of the signature; needed where the bundle does not come from a path */
  size_t signature_bytes;
  anyon_allocator allocator; /* functions NULL: the C library's */
  anyon_log_callback log;    /* NULL: nothing is logged */
  void* log_user;
  /* Called while bytes are read and verified; anything but 0 cancels. NULL: not called. */
  int32_t (*progress)(void* user, uint64_t bytes_done, uint64_t bytes_total);
  void* progress_user;
} anyon_model_params;

ANYON_API void anyon_model_params_init(anyon_model_params* params, size_t size) ANYON_NOEXCEPT;
static inline anyon_model_params anyon_model_params_default(void) ANYON_NOEXCEPT {
  anyon_model_params params;
  anyon_model_params_init(&params, sizeof(params));
  return params;
}

/* Maps a bundle file. Do not change or cut the file while the model or a session of it lives; replace it by renaming.
 */
ANYON_API anyon_status anyon_model_load(const char* path, const anyon_model_params* params,
                                        anyon_model** model) ANYON_NOEXCEPT;

/* A bundle in memory. The bytes are used where they lie when they start on a 64-byte boundary, else copied; either way
 * they must stay unchanged until `release` is called (which may be within this call, and is so when it fails), from
 * whichever thread frees the last handle. release may be NULL: then they must outlive the model and its sessions. */
ANYON_API anyon_status anyon_model_load_memory(const void* data, size_t bytes, void (*release)(void* user), void* user,
                                               const anyon_model_params* params, anyon_model** model) ANYON_NOEXCEPT;

/* Reads `bytes` bytes at `offset` into `buffer` and returns how many: fewer only when no more can be read (an error, or
 * the file has become shorter), negative for an error. Called from the thread that loads, until loading returns. */
typedef int64_t (*anyon_read_callback)(void* user, uint64_t offset, void* buffer, size_t bytes);

/* A bundle of `total_bytes` bytes that a callback reads: from an archive, an asset manager, encrypted storage. */
ANYON_API anyon_status anyon_model_load_callback(anyon_read_callback read, void* user, uint64_t total_bytes,
                                                 const anyon_model_params* params, anyon_model** model) ANYON_NOEXCEPT;

ANYON_API void anyon_model_free(anyon_model* model) ANYON_NOEXCEPT;

/* Why loading failed: what, where, what to try; "" when it succeeded. Valid as long as the model. */
ANYON_API const char* anyon_model_error(const anyon_model* model) ANYON_NOEXCEPT;

/* What follows is 0, NULL or "" for a model that failed to load. Strings are valid as long as the model. */

/* A field of the bundle's manifest that is text: "name", "family", "task", "recipe", "licence". NULL: it has none. */
ANYON_API const char* anyon_model_text(const anyon_model* model, const char* field) ANYON_NOEXCEPT;
/* The manifest, as JSON. */
ANYON_API const char* anyon_model_manifest(const anyon_model* model) ANYON_NOEXCEPT;
ANYON_API uint64_t anyon_model_bytes(const anyon_model* model) ANYON_NOEXCEPT;
ANYON_API const char* anyon_model_isa(const anyon_model* model) ANYON_NOEXCEPT;
/* Hertz that the model hears at; other rates are resampled. */
ANYON_API int32_t anyon_model_sample_rate(const anyon_model* model) ANYON_NOEXCEPT;
/* Codes of the languages it knows ("en" alone for an English-only model); NULL after the last. */
ANYON_API const char* anyon_model_language(const anyon_model* model, size_t index) ANYON_NOEXCEPT;

/* ---- Session --------------------------------------------------------------------------------------------------- */

/* The memory and the threads that one transcription at a time needs. Threads: one at a time, but for
 * anyon_session_cancel. */
typedef struct anyon_session anyon_session;

typedef struct anyon_session_params {
  size_t size;     /* of this struct */
  int32_t threads; /* that compute, the caller's included, 1..256; 0 (default): one for each fast core, at most 4 */
} anyon_session_params;

ANYON_API void anyon_session_params_init(anyon_session_params* params, size_t size) ANYON_NOEXCEPT;
static inline anyon_session_params anyon_session_params_default(void) ANYON_NOEXCEPT {
  anyon_session_params params;
  anyon_session_params_init(&params, sizeof(params));
  return params;
}

ANYON_API anyon_status anyon_session_create(const anyon_model* model, const anyon_session_params* params,
                                            anyon_session** session) ANYON_NOEXCEPT;

/* Close its stream first. */
ANYON_API void anyon_session_free(anyon_session* session) ANYON_NOEXCEPT;

/* Why the last call on this session failed; "" when it succeeded. Valid until the next call on it. */
ANYON_API const char* anyon_session_error(const anyon_session* session) ANYON_NOEXCEPT;

/* ---- Transcribing ---------------------------------------------------------------------------------------------- */

typedef struct anyon_word {
  double start, end; /* seconds on the clock of the recording */
  double probability;
  const char* word; /* with the white space before it */
} anyon_word;

typedef struct anyon_segment {
  int64_t id;        /* counts from 0 over the recording */
  int64_t seek;      /* first frame (10 ms each) of the window that held it */
  double start, end; /* seconds */
  const char* text;
  const int32_t* tokens; /* text and timestamp tokens as the model gave them */
  size_t token_count;
  double avg_logprob, compression_ratio, no_speech_prob, temperature;
  const anyon_word* words; /* none unless word_timestamps */
  size_t word_count;
} anyon_segment;

typedef struct anyon_transcribe_info {
  const char* language;        /* the option, or what was detected; "" before the first window was heard */
  double language_probability; /* 1 where nothing had to be detected */
  double duration;             /* seconds pushed so far */
  double progress;             /* seconds transcribed so far */
  int64_t windows, fallbacks, tokens, steps;
  double mel_seconds, encoder_seconds, decoder_seconds, align_seconds;
} anyon_transcribe_info;

/* Text, or token ids that are used as they are; both NULL: none. */
typedef struct anyon_prompt {
  const char* text;
  const int32_t* tokens;
  size_t token_count;
} anyon_prompt;

typedef int32_t anyon_task;
enum { ANYON_TASK_TRANSCRIBE = 0, ANYON_TASK_TRANSLATE = 1 /* into English */ };

/* The settings of openai-whisper and faster-whisper, under their names. NAN in a threshold switches it off. */
typedef struct anyon_transcribe_params {
  size_t size; /* of this struct */

  const char* language; /* "en", "fr", ...; NULL or "": detected */
  anyon_task task;

  /* How tokens are chosen. Temperatures are tried in order until a result passes the thresholds. */
  const float* temperatures; /* each 0..10; NULL: 0, 0.2, 0.4, 0.6, 0.8, 1 */
  size_t temperature_count;
  int32_t best_of;              /* 5; samples drawn at a temperature above 0, 1..64 */
  int32_t beam_size;            /* 5; at temperature 0; 1 is greedy; 1..64 */
  float patience;               /* 1 */
  float length_penalty;         /* NAN: divide by the length; else alpha, 0..1 */
  float repetition_penalty;     /* 1 */
  int32_t no_repeat_ngram_size; /* 0: off */
  uint64_t seed;                /* the same seed gives the same text */
  int32_t max_new_tokens;       /* of each window; 0: half of the text context */

  /* When a result is not believed. */
  float compression_ratio_threshold; /* 2.4 */
  float log_prob_threshold;          /* -1 */
  float no_speech_threshold;         /* 0.6 */
  int32_t speech_gate;               /* 1: refuse text where neither model nor signal speak for speech */

  int32_t batch_size; /* 1; windows decoded together, cut at pauses, 1..64 */

  /* What the decoder is told before it starts. */
  int32_t condition_on_previous_text; /* -1: where batch_size is 1 */
  float prompt_reset_on_temperature;  /* 0.5 */
  anyon_prompt initial_prompt;
  int32_t carry_initial_prompt; /* 0; 1: give it to every window */
  const char* hotwords;
  anyon_prompt prefix; /* how the text of the first window begins */
  anyon_prompt draft;  /* what the text probably is; needs beam_size 1, first temperature 0, batch_size 1 */

  /* What may be written. */
  int32_t suppress_blank;         /* 1 */
  const int32_t* suppress_tokens; /* NULL: the model's own list (-1 stands for it in a list) */
  size_t suppress_token_count;
  int32_t suppress_nothing; /* 0; 1: not even the model's own list */
  int32_t without_timestamps;
  float max_initial_timestamp; /* 1 second */

  /* Words. */
  int32_t word_timestamps;
  const char* prepend_punctuations; /* NULL: the usual ones */
  const char* append_punctuations;
  float hallucination_silence_threshold; /* NAN: off; seconds; needs word_timestamps */

  /* What to listen to: start, end, start, end, ... in seconds; a missing last end is the recording's. */
  const double* clip_timestamps;
  size_t clip_timestamp_count;

  /* Language detection: windows are heard until one is surer than the threshold. */
  float language_detection_threshold;  /* 0.5 */
  int32_t language_detection_segments; /* 1 */

  /* Called from the thread that transcribes; each may be NULL. */
  void (*on_segment)(void* user, const anyon_segment* segment); /* as soon as it is final; valid during the call */
  void (*on_progress)(void* user, double seconds_done, double seconds_total);
  int32_t (*should_cancel)(void* user); /* asked before each token; anything but 0 cancels */
  void* user;
} anyon_transcribe_params;

ANYON_API void anyon_transcribe_params_init(anyon_transcribe_params* params, size_t size) ANYON_NOEXCEPT;
static inline anyon_transcribe_params anyon_transcribe_params_default(void) ANYON_NOEXCEPT {
  anyon_transcribe_params params;
  anyon_transcribe_params_init(&params, sizeof(params));
  return params;
}

/* Transcribes a whole recording: `samples` mono samples (-1..1) at `sample_rate` Hz. The result is the session's until
 * its next transcription. After ANYON_ERROR_CANCELLED, what was final by then is there. ANYON_ERROR_BUSY: a stream is
 * open on this session. */
ANYON_API anyon_status anyon_session_transcribe(anyon_session* session, const float* pcm, size_t samples,
                                                int32_t sample_rate,
                                                const anyon_transcribe_params* params) ANYON_NOEXCEPT;

/* Ends the running transcription within one token; does nothing when none runs. Threads: any. */
ANYON_API void anyon_session_cancel(anyon_session* session) ANYON_NOEXCEPT;

/* The text of all segments. */
ANYON_API const char* anyon_session_text(const anyon_session* session) ANYON_NOEXCEPT;
ANYON_API size_t anyon_session_segment_count(const anyon_session* session) ANYON_NOEXCEPT;
/* NULL beyond the last. */
ANYON_API const anyon_segment* anyon_session_segment(const anyon_session* session, size_t index) ANYON_NOEXCEPT;
ANYON_API const anyon_transcribe_info* anyon_session_info(const anyon_session* session) ANYON_NOEXCEPT;

/* ---- Stream: transcribing while the audio comes in ------------------------------------------------------------- */

/* Memory does not grow with the recording. Threads: that of its session, but for anyon_stream_cancel. */
typedef struct anyon_stream anyon_stream;

typedef int32_t anyon_step;
enum {
  ANYON_STEP_NEED_AUDIO = 0, /* push more, or finish */
  ANYON_STEP_SEGMENTS = 1,   /* a window is done; what became final, which may be nothing, is there */
  ANYON_STEP_DONE = 2        /* the recording is over */
};

/* Lays the session aside for this stream until it is freed. */
ANYON_API anyon_status anyon_stream_open(anyon_session* session, const anyon_transcribe_params* params,
                                         anyon_stream** stream) ANYON_NOEXCEPT;
ANYON_API void anyon_stream_free(anyon_stream* stream) ANYON_NOEXCEPT;
/* Why the last call on this stream failed; "" when it succeeded. Valid until the next call on it. */
ANYON_API const char* anyon_stream_error(const anyon_stream* stream) ANYON_NOEXCEPT;

/* Appends mono samples; the rate is the same in every call. Cheap: the work is done by anyon_stream_step. */
ANYON_API anyon_status anyon_stream_push(anyon_stream* stream, const float* pcm, size_t samples,
                                         int32_t sample_rate) ANYON_NOEXCEPT;
/* No more audio will come. */
ANYON_API anyon_status anyon_stream_finish(anyon_stream* stream) ANYON_NOEXCEPT;

/* Works on at most one window (a batch of them where batch_size is above 1). */
ANYON_API anyon_status anyon_stream_step(anyon_stream* stream, anyon_step* step) ANYON_NOEXCEPT;
/* What the last step made final; valid until the next call on the stream. */
ANYON_API size_t anyon_stream_segment_count(const anyon_stream* stream) ANYON_NOEXCEPT;
ANYON_API const anyon_segment* anyon_stream_segment(const anyon_stream* stream, size_t index) ANYON_NOEXCEPT;

/* For live captions: the text, so far as it can be told, of what was pushed since the last final segment. It may change
 * with every call. Costs one run of the encoder and a greedy decoding; changes nothing in the result. Valid until the
 * next call on the stream. Needs batch_size 1. */
ANYON_API anyon_status anyon_stream_preview(anyon_stream* stream, const char** text) ANYON_NOEXCEPT;

ANYON_API const anyon_transcribe_info* anyon_stream_info(const anyon_stream* stream) ANYON_NOEXCEPT;

/* Ends the running step, within one token, and every later one with ANYON_ERROR_CANCELLED. Threads: any. */
ANYON_API void anyon_stream_cancel(anyon_stream* stream) ANYON_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
