// What the opaque handles are.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anyon/anyon.h"
#include "capi/guard.h"
#include "core/isa.h"
#include "core/threads.h"
#include "pipelines/transcribe.h"
#include "pipelines/whisper_model.h"
#include "program/session.h"

namespace anyon::capi {

// The application's log, or none.
struct Log {
  anyon_log_callback write = nullptr;
  void* user = nullptr;

  void operator()(anyon_log_level level, const std::string& line) const {
    if (write != nullptr) write(user, level, line.c_str());
  }
};

// What a model's sessions share; immutable.
struct LoadedModel {
  LoadedModel(std::shared_ptr<const Bundle> bundle, Isa kernels, Log sink);

  const WhisperModel whisper;
  const Isa isa;
  const Log log;
  std::vector<std::pair<std::string, std::string>> texts;  // of the manifest
  std::vector<std::string> languages;
};

// Segments with the views that callers see; addresses stay while segments are added.
class Segments {
 public:
  void clear() { segments_.clear(); }
  const anyon_segment& add(const Segment& segment);
  size_t size() const { return segments_.size(); }
  const anyon_segment* at(size_t index) const { return index < size() ? &segments_[index].view : nullptr; }

 private:
  struct Entry {
    Segment segment;
    std::vector<anyon_word> words;
    anyon_segment view{};
  };
  std::deque<Entry> segments_;
};

// The facts of one transcription, kept when it is over.
struct Info {
  std::string language;
  anyon_transcribe_info view{};

  Info() { view.language = ""; }
  void read(const Transcriber& transcriber);
};

}  // namespace anyon::capi

struct anyon_model {
  anyon::capi::LastError error;
  std::shared_ptr<const anyon::capi::LoadedModel> loaded;  // null where loading failed
};

struct anyon_session {
  anyon::capi::LastError error;
  std::shared_ptr<const anyon::capi::LoadedModel> model;
  std::shared_ptr<anyon::ThreadPool> pool;
  std::unique_ptr<anyon::Session> encoder, decoder;  // null where making them failed
  std::atomic<bool> cancelled{false};
  bool lent = false;  // to a stream

  anyon::capi::Segments segments;
  anyon::capi::Info info;
  std::string text;

  // A transcription with this session's programs. Throws Error kBusy while a stream is open.
  std::unique_ptr<anyon::Transcriber> transcriber(const anyon_transcribe_params& params);
};

struct anyon_stream {
  anyon::capi::LastError error;
  anyon_session* session = nullptr;  // null where opening failed
  anyon_transcribe_params params{};  // for its callbacks alone
  std::atomic<bool> cancelled{false};
  std::unique_ptr<anyon::Transcriber> transcriber;
  anyon::capi::Segments segments;
  anyon::capi::Info info;
  std::string preview;
};
