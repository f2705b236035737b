// What JavaScript needs beside the C API: memory for a bundle, parameters as plain arguments, and structs as numbers.
#include <emscripten.h>

#include <cstdlib>

#include "anyon/anyon.h"

// Asked before each token. It runs where the stream runs, in the worker that loaded the module.
EM_JS(int32_t, anyon_web_cancelled, (), { return Module["cancelled"]() ? 1 : 0; });

extern "C" {

// Where a bundle's bytes are used without another copy. Null when memory is missing.
EMSCRIPTEN_KEEPALIVE void* anyon_web_allocate(size_t bytes) {
  constexpr size_t kAlignment = 64;
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

// Takes `bundle`, which anyon_web_allocate gave, even when it fails.
EMSCRIPTEN_KEEPALIVE anyon_status anyon_web_load(void* bundle, size_t bytes, anyon_model** model) {
  return anyon_model_load_memory(bundle, bytes, std::free, bundle, nullptr, model);
}

EMSCRIPTEN_KEEPALIVE anyon_status anyon_web_session(const anyon_model* model, int32_t threads,
                                                    anyon_session** session) {
  anyon_session_params params = anyon_session_params_default();
  params.threads = threads;
  return anyon_session_create(model, &params, session);
}

// `beam_size` 0 and null texts stand for the defaults.
EMSCRIPTEN_KEEPALIVE anyon_status anyon_web_stream(anyon_session* session, const char* language, anyon_task task,
                                                   int32_t beam_size, int32_t word_timestamps,
                                                   const char* initial_prompt, anyon_stream** stream) {
  anyon_transcribe_params params = anyon_transcribe_params_default();
  params.language = language;
  params.task = task;
  if (beam_size != 0) params.beam_size = beam_size;
  params.word_timestamps = word_timestamps;
  params.initial_prompt.text = initial_prompt;
  params.should_cancel = [](void*) { return anyon_web_cancelled(); };
  return anyon_stream_open(session, &params, stream);
}

// numbers: id, seek, start, end, avg_logprob, compression_ratio, no_speech_prob, temperature, text, tokens,
// token_count, word_count; text and tokens are addresses.
EMSCRIPTEN_KEEPALIVE void anyon_web_segment(const anyon_stream* stream, size_t index, double* numbers) {
  const anyon_segment& s = *anyon_stream_segment(stream, index);
  const double all[] = {static_cast<double>(s.id),
                        static_cast<double>(s.seek),
                        s.start,
                        s.end,
                        s.avg_logprob,
                        s.compression_ratio,
                        s.no_speech_prob,
                        s.temperature,
                        static_cast<double>(reinterpret_cast<uintptr_t>(s.text)),
                        static_cast<double>(reinterpret_cast<uintptr_t>(s.tokens)),
                        static_cast<double>(s.token_count),
                        static_cast<double>(s.word_count)};
  for (const double value : all) *numbers++ = value;
}

// numbers: start, end, probability, address of the word
EMSCRIPTEN_KEEPALIVE void anyon_web_word(const anyon_stream* stream, size_t segment, size_t index, double* numbers) {
  const anyon_word& word = anyon_stream_segment(stream, segment)->words[index];
  numbers[0] = word.start;
  numbers[1] = word.end;
  numbers[2] = word.probability;
  numbers[3] = static_cast<double>(reinterpret_cast<uintptr_t>(word.word));
}

// numbers: language_probability, duration, progress, address of the language
EMSCRIPTEN_KEEPALIVE void anyon_web_info(const anyon_stream* stream, double* numbers) {
  const anyon_transcribe_info& info = *anyon_stream_info(stream);
  numbers[0] = info.language_probability;
  numbers[1] = info.duration;
  numbers[2] = info.progress;
  numbers[3] = static_cast<double>(reinterpret_cast<uintptr_t>(info.language));
}
}
