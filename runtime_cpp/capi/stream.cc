// Transcribing while the audio comes in.
#include "capi/handles.h"
#include "capi/params.h"
#include "core/status.h"

using namespace anyon;
using namespace anyon::capi;

namespace {

// Runs `body` on an open stream; afterwards its facts are those of the transcription.
template <class Body>
anyon_status with(anyon_stream* stream, Body&& body) noexcept {
  if (stream == nullptr) return ANYON_ERROR_INVALID_ARGUMENT;
  const anyon_status status = guarded(stream->error, [&] {
    stream->segments.clear();
    if (!stream->transcriber) refuse({"stream: it was not opened: see anyon_stream_open's error"});
    body(*stream->transcriber);
    stream->info.read(*stream->transcriber);
  });
  if (status != ANYON_OK && stream->session != nullptr) {
    stream->session->model->log(ANYON_LOG_ERROR, stream->error.text());
  }
  return status;
}

bool should_stop(const anyon_stream& stream) {
  return stream.cancelled.load(std::memory_order_relaxed) ||
         (stream.params.should_cancel != nullptr && stream.params.should_cancel(stream.params.user) != 0);
}

anyon_step run_step(anyon_stream& stream, Transcriber& transcriber) {
  const StepResult result = transcriber.step([&] { return should_stop(stream); });
  if (result == StepResult::kCancelled) throw_error(Status::kCancelled, {"stream: cancelled"});
  if (result == StepResult::kNeedAudio) return ANYON_STEP_NEED_AUDIO;
  if (result == StepResult::kSegments) {
    for (const Segment& segment : transcriber.segments()) {
      const anyon_segment& view = stream.segments.add(segment);
      if (stream.params.on_segment != nullptr) stream.params.on_segment(stream.params.user, &view);
    }
  }
  if (stream.params.on_progress != nullptr) {
    stream.params.on_progress(stream.params.user, transcriber.progress(), transcriber.duration());
  }
  return result == StepResult::kDone ? ANYON_STEP_DONE : ANYON_STEP_SEGMENTS;
}

}  // namespace

anyon_status anyon_stream_open(anyon_session* session, const anyon_transcribe_params* given,
                               anyon_stream** out) noexcept {
  if (out == nullptr) return ANYON_ERROR_INVALID_ARGUMENT;
  *out = new (std::nothrow) anyon_stream();
  if (*out == nullptr) return ANYON_ERROR_OUT_OF_MEMORY;
  anyon_stream& stream = **out;
  return guarded(stream.error, [&] {
    if (session == nullptr) refuse({"session: NULL"});
    stream.params = read_params(given, anyon_transcribe_params_default(), "anyon_transcribe_params");
    stream.transcriber = session->transcriber(stream.params);
    stream.session = session;
    session->lent = true;
  });
}

void anyon_stream_free(anyon_stream* stream) noexcept {
  if (stream == nullptr) return;
  if (stream->session != nullptr) stream->session->lent = false;
  delete stream;
}

const char* anyon_stream_error(const anyon_stream* stream) noexcept {
  return stream == nullptr ? "stream: NULL" : stream->error.text();
}

anyon_status anyon_stream_push(anyon_stream* stream, const float* pcm, size_t samples, int32_t sample_rate) noexcept {
  return with(stream, [&](Transcriber& transcriber) {
    if (pcm == nullptr && samples > 0) refuse({"pcm: NULL with ", samples, " samples"});
    transcriber.push({pcm, samples}, sample_rate);
  });
}

anyon_status anyon_stream_finish(anyon_stream* stream) noexcept {
  return with(stream, [](Transcriber& transcriber) { transcriber.finish(); });
}

anyon_status anyon_stream_step(anyon_stream* stream, anyon_step* step) noexcept {
  return with(stream, [&](Transcriber& transcriber) {
    if (step == nullptr) refuse({"step: NULL"});
    *step = ANYON_STEP_NEED_AUDIO;
    *step = run_step(*stream, transcriber);
  });
}

size_t anyon_stream_segment_count(const anyon_stream* stream) noexcept {
  return stream == nullptr ? 0 : stream->segments.size();
}

const anyon_segment* anyon_stream_segment(const anyon_stream* stream, size_t index) noexcept {
  return stream == nullptr ? nullptr : stream->segments.at(index);
}

anyon_status anyon_stream_preview(anyon_stream* stream, const char** text) noexcept {
  return with(stream, [&](Transcriber& transcriber) {
    if (text == nullptr) refuse({"text: NULL"});
    *text = "";
    stream->preview = transcriber.preview([&] { return should_stop(*stream); });
    if (should_stop(*stream)) throw_error(Status::kCancelled, {"stream: cancelled"});
    *text = stream->preview.c_str();
  });
}

const anyon_transcribe_info* anyon_stream_info(const anyon_stream* stream) noexcept {
  return stream == nullptr ? nullptr : &stream->info.view;
}

void anyon_stream_cancel(anyon_stream* stream) noexcept {
  if (stream != nullptr) stream->cancelled.store(true, std::memory_order_relaxed);
}
