// anyon.h for C++17: handles that free themselves, errors as exceptions, results that own their memory. Header only.
//
//   anyon::Model model("tiny.en.anyon");
//   anyon::Session session(model);
//   std::cout << session.transcribe(pcm, samples, 16000).text << "\n";
//
// Threads: as anyon.h says. A program without exceptions uses anyon.h.
#ifndef ANYON_ANYON_HPP
#define ANYON_ANYON_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "anyon/anyon.h"

namespace anyon {
// Of the interface, not of the library: a program that links the static library has both.
inline namespace api {

// what(): what failed, where, and what to try.
class Error : public std::runtime_error {
 public:
  Error(anyon_status status, const char* message) : std::runtime_error(message), status_(status) {}
  anyon_status status() const noexcept { return status_; }

 private:
  anyon_status status_;
};

struct Word {
  double start, end;  // seconds
  double probability;
  std::string word;  // with the white space before it
};

struct Segment {
  explicit Segment(const anyon_segment& s)
      : id(s.id),
        start(s.start),
        end(s.end),
        text(s.text),
        tokens(s.tokens, s.tokens + s.token_count),
        avg_logprob(s.avg_logprob),
        compression_ratio(s.compression_ratio),
        no_speech_prob(s.no_speech_prob),
        temperature(s.temperature) {
    for (size_t i = 0; i < s.word_count; ++i) {
      words.push_back({s.words[i].start, s.words[i].end, s.words[i].probability, s.words[i].word});
    }
  }

  std::int64_t id;
  double start, end;  // seconds
  std::string text;
  std::vector<std::int32_t> tokens;
  double avg_logprob, compression_ratio, no_speech_prob, temperature;
  std::vector<Word> words;  // empty unless word_timestamps
};

struct Transcript {
  std::string text;
  std::string language;
  double language_probability = 0;
  double duration = 0;  // seconds
  std::vector<Segment> segments;
};

// `params` has every setting; its strings and arrays must live until the call that takes the options returns. Its
// callbacks are set from those here: one that throws ends the transcription, and the caller gets the exception.
struct Options {
  anyon_transcribe_params params = anyon_transcribe_params_default();
  std::function<void(const Segment&)> on_segment;
  std::function<void(double seconds_done, double seconds_total)> on_progress;
  std::function<bool()> should_cancel;
};

namespace detail {

// What the library calls instead of the std::functions.
class Callbacks {
 public:
  explicit Callbacks(Options options) : options_(std::move(options)), params_(options_.params) {
    params_.user = this;
    params_.on_segment = [](void* self, const anyon_segment* segment) {
      of(self).guard([&] { of(self).options_.on_segment(Segment(*segment)); });
    };
    params_.on_progress = [](void* self, double done, double total) {
      of(self).guard([&] { of(self).options_.on_progress(done, total); });
    };
    params_.should_cancel = [](void* self) -> std::int32_t {
      bool cancel = false;
      of(self).guard([&] { cancel = of(self).options_.should_cancel && of(self).options_.should_cancel(); });
      return cancel || of(self).thrown_ ? 1 : 0;
    };
    if (!options_.on_segment) params_.on_segment = nullptr;
    if (!options_.on_progress) params_.on_progress = nullptr;
  }
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  const anyon_transcribe_params* params() const { return &params_; }
  void rethrow() {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  }

 private:
  static Callbacks& of(void* self) { return *static_cast<Callbacks*>(self); }
  template <class Body>
  void guard(Body&& body) noexcept {
    if (thrown_) return;
    try {
      body();
    } catch (...) {
      thrown_ = std::current_exception();
    }
  }

  Options options_;
  anyon_transcribe_params params_;
  std::exception_ptr thrown_;
};

struct Free {
  void operator()(anyon_model* model) const noexcept { anyon_model_free(model); }
  void operator()(anyon_session* session) const noexcept { anyon_session_free(session); }
  void operator()(anyon_stream* stream) const noexcept { anyon_stream_free(stream); }
};

inline void check(anyon_status status, const char* message) {
  if (status != ANYON_OK) throw Error(status, message);
}

}  // namespace detail

class Model {
 public:
  explicit Model(const std::string& path, const anyon_model_params* params = nullptr) {
    anyon_model* model = nullptr;
    const anyon_status status = anyon_model_load(path.c_str(), params, &model);
    take(status, model);
  }
  // The bytes must outlive the model and its sessions.
  Model(const void* data, std::size_t bytes, const anyon_model_params* params = nullptr) {
    anyon_model* model = nullptr;
    const anyon_status status = anyon_model_load_memory(data, bytes, nullptr, nullptr, params, &model);
    take(status, model);
  }

  // "name", "family", "task", "recipe", "licence"; empty when the bundle does not say.
  std::string text(const char* field) const {
    const char* const found = anyon_model_text(get(), field);
    return found == nullptr ? "" : found;
  }
  std::vector<std::string> languages() const {
    std::vector<std::string> codes;
    for (std::size_t i = 0; const char* code = anyon_model_language(get(), i); ++i) codes.emplace_back(code);
    return codes;
  }
  std::string isa() const { return anyon_model_isa(get()); }
  std::int32_t sample_rate() const { return anyon_model_sample_rate(get()); }
  std::uint64_t bytes() const { return anyon_model_bytes(get()); }
  const anyon_model* get() const noexcept { return handle_.get(); }

 private:
  void take(anyon_status status, anyon_model* model) {
    handle_.reset(model);
    detail::check(status, anyon_model_error(model));
  }

  std::unique_ptr<anyon_model, detail::Free> handle_;
};

class Session {
 public:
  // threads 0: one for each fast core, at most 4.
  explicit Session(const Model& model, std::int32_t threads = 0) {
    anyon_session_params params = anyon_session_params_default();
    params.threads = threads;
    anyon_session* session = nullptr;
    const anyon_status status = anyon_session_create(model.get(), &params, &session);
    handle_.reset(session);
    detail::check(status, anyon_session_error(session));
  }

  // `samples` mono samples (-1..1) at `sample_rate` Hz. After a cancellation transcript() has what was final by then.
  Transcript transcribe(const float* pcm, std::size_t samples, std::int32_t sample_rate, Options options = {}) {
    detail::Callbacks callbacks(std::move(options));
    const anyon_status status = anyon_session_transcribe(get(), pcm, samples, sample_rate, callbacks.params());
    callbacks.rethrow();
    detail::check(status, anyon_session_error(get()));
    return transcript();
  }
  Transcript transcribe(const std::vector<float>& pcm, std::int32_t sample_rate, Options options = {}) {
    return transcribe(pcm.data(), pcm.size(), sample_rate, std::move(options));
  }

  // Of the last transcription.
  Transcript transcript() const {
    Transcript result;
    const anyon_transcribe_info& info = *anyon_session_info(get());
    result.text = anyon_session_text(get());
    result.language = info.language;
    result.language_probability = info.language_probability;
    result.duration = info.duration;
    for (std::size_t i = 0; i < anyon_session_segment_count(get()); ++i) {
      result.segments.emplace_back(*anyon_session_segment(get(), i));
    }
    return result;
  }

  // Threads: any.
  void cancel() noexcept { anyon_session_cancel(get()); }
  anyon_session* get() const noexcept { return handle_.get(); }

 private:
  std::unique_ptr<anyon_session, detail::Free> handle_;
};

// Transcribing while the audio comes in. The session must outlive the stream, and does nothing else meanwhile.
class Stream {
 public:
  explicit Stream(Session& session, Options options = {})
      : callbacks_(std::make_unique<detail::Callbacks>(std::move(options))) {
    anyon_stream* stream = nullptr;
    const anyon_status status = anyon_stream_open(session.get(), callbacks_->params(), &stream);
    handle_.reset(stream);
    detail::check(status, anyon_stream_error(stream));
  }

  void push(const float* pcm, std::size_t samples, std::int32_t sample_rate) {
    check(anyon_stream_push(get(), pcm, samples, sample_rate));
  }
  // No more audio will come.
  void finish() { check(anyon_stream_finish(get())); }

  // Works on at most one window; segments() has what became final.
  anyon_step step() {
    anyon_step step = ANYON_STEP_NEED_AUDIO;
    check(anyon_stream_step(get(), &step));
    return step;
  }
  std::vector<Segment> segments() const {
    std::vector<Segment> result;
    for (std::size_t i = 0; i < anyon_stream_segment_count(get()); ++i) {
      result.emplace_back(*anyon_stream_segment(get(), i));
    }
    return result;
  }

  // The text, so far as it can be told, of what was pushed after the last final segment.
  std::string preview() {
    const char* text = "";
    check(anyon_stream_preview(get(), &text));
    return text;
  }

  anyon_transcribe_info info() const { return *anyon_stream_info(get()); }
  // Threads: any.
  void cancel() noexcept { anyon_stream_cancel(get()); }
  anyon_stream* get() const noexcept { return handle_.get(); }

 private:
  void check(anyon_status status) {
    callbacks_->rethrow();
    detail::check(status, anyon_stream_error(get()));
  }

  std::unique_ptr<detail::Callbacks> callbacks_;  // outlives the handle
  std::unique_ptr<anyon_stream, detail::Free> handle_;
};

}  // namespace api
}  // namespace anyon

#endif
