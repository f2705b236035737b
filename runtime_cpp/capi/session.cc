// Sessions, and whole recordings.
#include <algorithm>
#include <cmath>
#include <thread>

#include "capi/handles.h"
#include "capi/params.h"
#include "core/status.h"
#include "pipelines/text.h"
#include "program/native_session.h"

namespace anyon::capi {

namespace {

constexpr int kMostDefaultThreads = 4;  // beyond, slow cores of a phone hold the fast ones up

int default_threads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostDefaultThreads);
}

// The session must not be in use by a stream, and must have been made.
void expect_free(const anyon_session* session) {
  if (session->lent) {
    throw_error(Status::kBusy, {"session: a stream is open on it: free the stream first, or make another session"});
  }
  if (!session->decoder) refuse({"session: it was not made: see anyon_session_create's error"});
}

// Hands over the recording in pieces of the length of a window, so that a long one is not copied whole.
class Recording {
 public:
  Recording(std::span<const float> samples, int rate, const WhisperInfo& info)
      : rest_(samples), rate_(rate), piece_(static_cast<size_t>(info.chunk_seconds) * static_cast<size_t>(rate)) {}

  void feed(Transcriber& transcriber) {
    const std::span<const float> piece = rest_.first(std::min(piece_, rest_.size()));
    transcriber.push(piece, rate_);
    rest_ = rest_.subspan(piece.size());
    if (rest_.empty() && !finished_) {
      transcriber.finish();
      finished_ = true;
    }
  }

 private:
  std::span<const float> rest_;
  const int rate_;
  const size_t piece_;
  bool finished_ = false;
};

void transcribe(anyon_session& session, std::span<const float> pcm, int rate, const anyon_transcribe_params& params) {
  const std::unique_ptr<Transcriber> transcriber = session.transcriber(params);
  Recording recording(pcm, rate, session.model->whisper.info);
  const double total = static_cast<double>(pcm.size()) / rate;
  const auto should_stop = [&] {
    return session.cancelled.load(std::memory_order_relaxed) ||
           (params.should_cancel != nullptr && params.should_cancel(params.user) != 0);
  };
  for (;;) {
    const StepResult step = transcriber->step(should_stop);
    session.info.read(*transcriber);
    if (step == StepResult::kNeedAudio) {
      recording.feed(*transcriber);
      continue;
    }
    if (step == StepResult::kCancelled) throw_error(Status::kCancelled, {"transcribe: cancelled"});
    if (step == StepResult::kSegments) {
      for (const Segment& segment : transcriber->segments()) {
        session.text += segment.text;
        const anyon_segment& view = session.segments.add(segment);
        if (params.on_segment != nullptr) params.on_segment(params.user, &view);
      }
    }
    if (params.on_progress != nullptr) params.on_progress(params.user, transcriber->progress(), total);
    if (step == StepResult::kDone) return;
  }
}

}  // namespace

const anyon_segment& Segments::add(const Segment& segment) {
  Entry& entry = segments_.emplace_back();
  entry.segment = segment;
  for (const Word& word : entry.segment.words) {
    entry.words.push_back({word.start, word.end, word.probability, word.word.c_str()});
  }
  const Segment& kept = entry.segment;
  entry.view = {kept.id,
                kept.seek,
                kept.start,
                kept.end,
                kept.text.c_str(),
                kept.tokens.data(),
                kept.tokens.size(),
                kept.avg_logprob,
                kept.compression_ratio,
                kept.no_speech_prob,
                kept.temperature,
                entry.words.data(),
                entry.words.size()};
  return entry.view;
}

void Info::read(const Transcriber& transcriber) {
  const TranscribeInfo& info = transcriber.info();
  if (language != transcriber.language()) language = transcriber.language();
  view = {language.c_str(),
          transcriber.language_probability(),
          transcriber.duration(),
          transcriber.progress(),
          info.windows,
          info.fallbacks,
          info.tokens,
          info.steps,
          info.mel_seconds,
          info.encoder_seconds,
          info.decoder_seconds,
          info.align_seconds};
}

}  // namespace anyon::capi

using namespace anyon;
using namespace anyon::capi;

std::unique_ptr<Transcriber> anyon_session::transcriber(const anyon_transcribe_params& params) {
  expect_free(this);
  segments.clear();
  text.clear();
  info = Info();
  model->whisper.bundle->check_not_cut();
  // What an earlier failure left behind.
  encoder->reset_states();
  decoder->reset_states();
  return std::make_unique<Transcriber>(model->whisper.info, model->whisper.tokenizer, *encoder, *decoder, *pool,
                                       transcribe_options(params), model->isa);
}

anyon_status anyon_session_create(const anyon_model* model, const anyon_session_params* given,
                                  anyon_session** out) noexcept {
  if (out == nullptr) return ANYON_ERROR_INVALID_ARGUMENT;
  *out = new (std::nothrow) anyon_session();
  if (*out == nullptr) return ANYON_ERROR_OUT_OF_MEMORY;
  anyon_session& session = **out;
  return guarded(session.error, [&] {
    if (model == nullptr) refuse({"model: NULL"});
    if (!model->loaded) refuse({"model: it was not loaded: ", model->error.text()});
    const anyon_session_params params = read_params(given, anyon_session_params_default(), "anyon_session_params");
    if (params.threads < 0) refuse({"threads: ", params.threads, ": expected 0 (automatic) or more"});
    session.model = model->loaded;
    session.pool = std::make_shared<ThreadPool>(params.threads == 0 ? default_threads() : params.threads);
    const std::shared_ptr<const Bundle>& bundle = session.model->whisper.bundle;
    session.encoder = make_native_session(bundle, "encoder", session.pool, session.model->isa);
    session.decoder = make_native_session(bundle, "decoder", session.pool, session.model->isa);
  });
}

void anyon_session_free(anyon_session* session) noexcept {
  delete session;
}

const char* anyon_session_error(const anyon_session* session) noexcept {
  return session == nullptr ? "session: NULL" : session->error.text();
}

anyon_status anyon_session_transcribe(anyon_session* session, const float* pcm, size_t samples, int32_t sample_rate,
                                      const anyon_transcribe_params* given) noexcept {
  if (session == nullptr) return ANYON_ERROR_INVALID_ARGUMENT;
  session->cancelled.store(false, std::memory_order_relaxed);
  const anyon_status status = guarded(session->error, [&] {
    const anyon_transcribe_params params =
        read_params(given, anyon_transcribe_params_default(), "anyon_transcribe_params");
    if (pcm == nullptr && samples > 0) refuse({"pcm: NULL with ", samples, " samples"});
    if (sample_rate < 1) refuse({"sample_rate: ", sample_rate, ": expected hertz, such as 16000"});
    transcribe(*session, {pcm, samples}, sample_rate, params);
  });
  // The running text without the white space around it.
  const std::string_view trimmed = trim(session->text);
  if (trimmed.empty()) {
    session->text.clear();
  } else {
    session->text.erase(0, static_cast<size_t>(trimmed.data() - session->text.data())).resize(trimmed.size());
  }
  if (status != ANYON_OK && session->model) session->model->log(ANYON_LOG_ERROR, session->error.text());
  return status;
}

void anyon_session_cancel(anyon_session* session) noexcept {
  if (session != nullptr) session->cancelled.store(true, std::memory_order_relaxed);
}

const char* anyon_session_text(const anyon_session* session) noexcept {
  return session == nullptr ? "" : session->text.c_str();
}

size_t anyon_session_segment_count(const anyon_session* session) noexcept {
  return session == nullptr ? 0 : session->segments.size();
}

const anyon_segment* anyon_session_segment(const anyon_session* session, size_t index) noexcept {
  return session == nullptr ? nullptr : session->segments.at(index);
}

const anyon_transcribe_info* anyon_session_info(const anyon_session* session) noexcept {
  return session == nullptr ? nullptr : &session->info.view;
}
