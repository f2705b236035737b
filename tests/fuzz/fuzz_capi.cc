// The input is a program of calls of the C API, with good and bad arguments, over a small Whisper (the golden f32
// bundle): models from memory, callbacks and paths, sessions, streams, cancellation, callbacks and allocators that
// fail. Whatever happens, calls return; memory is released once; what an allocator gave comes back to it.
#include <anyon/anyon.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "choices.h"

namespace {

using anyon::fuzzing::Choices;
using anyon::fuzzing::Numbers;

const std::string kPath = std::string(ANYON_GOLDEN_FOLDER) + "/bundles/v1/whisper-f32.anyon";

const std::string& golden(const std::string& path) {
  static std::vector<std::pair<std::string, std::string>> read;
  for (const auto& [name, content] : read) {
    if (name == path) return content;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) std::abort();
  return read.emplace_back(path, std::string{std::istreambuf_iterator<char>(file), {}}).second;
}

void expect(bool holds) {
  if (!holds) std::abort();
}

// Memory that fails at one call, or never, and counts what is out.
struct Memory {
  int fail_at = -1, calls = 0;
  int64_t held = 0;

  static void* allocate(void* user, size_t bytes, size_t alignment) {
    auto& self = *static_cast<Memory*>(user);
    if (self.calls++ == self.fail_at) return nullptr;
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) return nullptr;
    self.held += static_cast<int64_t>(bytes);
    return memory;
  }
  static void release(void* user, void* memory, size_t bytes) {
    static_cast<Memory*>(user)->held -= static_cast<int64_t>(bytes);
    std::free(memory);
  }
};

// A bundle in memory whose release is counted.
struct Loan {
  int released = 0;
  static void release(void* user) { ++static_cast<Loan*>(user)->released; }
};

// What a reading callback does.
struct Reader {
  const std::string* content;
  int good_calls = 1 << 30;
  int64_t answer = 0;  // after the good calls

  static int64_t read(void* user, uint64_t offset, void* buffer, size_t bytes) {
    auto& self = *static_cast<Reader*>(user);
    if (self.good_calls-- <= 0) return self.answer;
    if (offset >= self.content->size()) return 0;
    const size_t count = std::min(bytes, self.content->size() - static_cast<size_t>(offset));
    std::memcpy(buffer, self.content->data() + offset, count);
    return static_cast<int64_t>(count);
  }
};

struct Watcher {
  int left;  // answers before it cancels
  size_t segments = 0;
  anyon_session* session = nullptr;

  static int32_t progress(void* user, uint64_t done, uint64_t total) {
    expect(done <= total);
    return static_cast<Watcher*>(user)->left-- <= 0;
  }
  static int32_t should_cancel(void* user) { return static_cast<Watcher*>(user)->left-- <= 0; }
  static void on_segment(void* user, const anyon_segment* segment) {
    auto& self = *static_cast<Watcher*>(user);
    ++self.segments;
    expect(segment->text != nullptr && segment->start <= segment->end);
    if (self.left % 7 == 3) anyon_session_cancel(self.session);
  }
  static void on_progress(void*, double done, double total) { expect(done >= 0.0 && total >= 0.0); }
  static void log(void*, anyon_log_level level, const char* message) {
    expect(level >= ANYON_LOG_DEBUG && level <= ANYON_LOG_ERROR && message != nullptr);
  }
};

template <class T>
size_t some_size(Choices& choices) {
  return choices.of(std::vector<size_t>{sizeof(T), sizeof(T), sizeof(T), 0, sizeof(size_t), 4097});
}

float some_float(Choices& choices) {
  return choices.of(std::vector<float>{0.0f, 1.0f, 0.5f, NAN, -1.0f, 2.4f, INFINITY, -INFINITY, 1e30f, 10.0f});
}

int32_t some_int(Choices& choices) {
  return choices.of(std::vector<int32_t>{0, 1, 2, 3, 5, 8, -1, 64, 65, 1 << 20, INT32_MIN, INT32_MAX});
}

const char* some_text(Choices& choices) {
  return choices.of(
      std::vector<const char*>{nullptr, "", "en", "fr", "a b", "\xff\xfe", "<|endoftext|>", "words, more"});
}

// The slots that calls work on.
class Program {
 public:
  explicit Program(Choices& choices) : choices_(choices) {}
  ~Program() {
    for (size_t i = 0; i < kSlots; ++i) close_session(i);
    for (size_t i = 0; i < kSlots; ++i) anyon_model_free(models_[i]);
    for (const auto& loan : loans_) expect(loan->released == 1);
    for (const auto& memory : memories_) expect(memory->held == 0);
  }

  void call() {
    slot_ = static_cast<size_t>(choices_.between(0, kSlots - 1));
    switch (choices_.between(0, 13)) {
      case 0:
      case 1:
        return load();
      case 2:
        return look_at_model();
      case 3:
      case 4:
        return create_session();
      case 5:
      case 6:
        return transcribe();
      case 7:
        return open_stream();
      case 8:
        return push();
      case 9:
        return step();
      case 10:
        return preview();
      case 11:
        return close();
      case 12:
        anyon_session_cancel(sessions_[slot_]);
        return anyon_stream_cancel(streams_[slot_]);
      default:
        return look_at_results();
    }
  }

 private:
  static constexpr size_t kSlots = 2;

  anyon_model_params model_params() {
    anyon_model_params params = anyon_model_params_default();
    params.size = some_size<anyon_model_params>(choices_);
    if (choices_.between(0, 3) == 0) params.isa = choices_.of(std::vector<const char*>{"scalar", "avx2", "", "x"});
    params.verify_data = choices_.coin() ? 1 : 0;
    if (choices_.between(0, 3) == 0) {
      Memory& memory = *memories_.emplace_back(std::make_unique<Memory>());
      if (choices_.coin()) memory.fail_at = static_cast<int>(choices_.between(0, 15));
      params.allocator = {Memory::allocate, choices_.between(0, 7) == 0 ? nullptr : Memory::release, &memory};
    }
    if (choices_.between(0, 3) == 0) {
      params.log = Watcher::log;
      params.progress = Watcher::progress;
      params.progress_user = &watcher_;
      watcher_.left = choices_.byte();
    }
    return params;
  }

  void load() {
    free_model();
    const anyon_model_params params = model_params();
    const anyon_model_params* given = choices_.between(0, 3) == 0 ? nullptr : &params;
    anyon_model** out = choices_.between(0, 31) == 0 ? nullptr : &models_[slot_];
    anyon_status status = ANYON_OK;
    switch (choices_.between(0, 3)) {
      case 0:
        status = anyon_model_load(choices_.of(std::vector<const char*>{kPath.c_str(), nullptr, "", "/"}), given, out);
        break;
      case 1: {
        Reader reader{&golden(kPath)};
        if (choices_.coin()) reader.good_calls = static_cast<int>(choices_.between(0, 2));
        reader.answer = choices_.of(std::vector<int64_t>{0, -1, INT64_MIN, INT64_MAX, 1});
        const uint64_t size = reader.content->size();
        const uint64_t total = choices_.of(std::vector<uint64_t>{size, size, size, 0, size - 1, size + 1, UINT64_MAX});
        status = anyon_model_load_callback(choices_.between(0, 15) == 0 ? nullptr : Reader::read, &reader, total, given,
                                           out);
        break;
      }
      default:
        status = load_memory(given, out);
    }
    if (out == nullptr) {
      expect(status == ANYON_ERROR_INVALID_ARGUMENT);
    } else if (*out != nullptr) {
      expect((status == ANYON_OK) == (*anyon_model_error(*out) == '\0'));
    }
  }

  // The golden bundle, whole or changed, on a 64-byte boundary or beside it.
  anyon_status load_memory(const anyon_model_params* given, anyon_model** out) {
    std::string content = golden(kPath);
    if (choices_.between(0, 3) == 0) content.resize(choices_.raw<uint32_t>() % content.size());
    for (int64_t flips = choices_.between(0, 7) - 4; flips > 0 && !content.empty(); --flips) {
      content[choices_.raw<uint32_t>() % content.size()] ^= static_cast<char>(1 << choices_.between(0, 7));
    }
    const size_t shift = choices_.coin() ? 0 : static_cast<size_t>(choices_.between(0, 63));
    void* memory = nullptr;
    expect(posix_memalign(&memory, 64, content.size() + 64) == 0);
    blocks_.emplace_back(memory, std::free);
    char* bytes = static_cast<char*>(memory) + shift;
    std::memcpy(bytes, content.data(), content.size());
    Loan& loan = *loans_.emplace_back(std::make_unique<Loan>());
    return anyon_model_load_memory(choices_.between(0, 15) == 0 ? nullptr : bytes, content.size(), Loan::release, &loan,
                                   given, out);
  }

  void free_model() {
    anyon_model_free(models_[slot_]);
    models_[slot_] = nullptr;
  }

  void look_at_model() {
    const anyon_model* model = models_[slot_];
    (void)anyon_model_error(model);
    for (const char* field : {"name", "family", "recipe", "licence", "nothing", static_cast<const char*>(nullptr)}) {
      (void)anyon_model_text(model, field);
    }
    expect(std::strlen(anyon_model_manifest(model)) < (64u << 20));
    (void)anyon_model_isa(model);
    expect(anyon_model_bytes(model) < (uint64_t{1} << 40) && anyon_model_sample_rate(model) >= 0);
    for (size_t i = 0; anyon_model_language(model, i) != nullptr; ++i) expect(i < 5000);
    (void)anyon_model_language(model, SIZE_MAX);
    for (int32_t kind = -1; kind < 5; ++kind) {
      for (size_t i = 0; anyon_capability_name(kind, i) != nullptr; ++i) expect(i < 5000);
    }
    (void)anyon_status_name(some_int(choices_));
  }

  void create_session() {
    close_session(slot_);
    anyon_session_params params = anyon_session_params_default();
    params.size = some_size<anyon_session_params>(choices_);
    params.threads = choices_.of(std::vector<int32_t>{1, 1, 1, 2, -1, 257, INT32_MIN});
    if (params.size < sizeof(params)) params.threads = 1;
    const size_t model = choices_.between(0, 7) == 0 ? 1 - slot_ : slot_;
    const anyon_status status = anyon_session_create(models_[model], &params, &sessions_[slot_]);
    if (sessions_[slot_] != nullptr) expect((status == ANYON_OK) == (*anyon_session_error(sessions_[slot_]) == '\0'));
  }

  void close_session(size_t slot) {
    anyon_stream_free(streams_[slot]);
    streams_[slot] = nullptr;
    anyon_session_free(sessions_[slot]);
    sessions_[slot] = nullptr;
  }

  anyon_transcribe_params transcribe_params() {
    anyon_transcribe_params params = anyon_transcribe_params_default();
    params.beam_size = choices_.between(0, 3) == 0 ? some_int(choices_) : 1;
    // A session's rows are planned one by one: 64 of them would be slow, not wrong.
    if (params.beam_size > 8 && params.beam_size <= 64) params.beam_size = 8;
    params.best_of = 1;
    for (int64_t changes = choices_.between(0, 4); changes > 0; --changes) change(params);
    watcher_ = {choices_.between(0, 1) == 0 ? 1 << 20 : choices_.byte(), 0, sessions_[slot_]};
    params.on_segment = choices_.coin() ? Watcher::on_segment : nullptr;
    params.on_progress = choices_.coin() ? Watcher::on_progress : nullptr;
    params.should_cancel = choices_.coin() ? Watcher::should_cancel : nullptr;
    params.user = &watcher_;
    if (choices_.between(0, 15) == 0) params.size = some_size<anyon_transcribe_params>(choices_);
    return params;
  }

  void change(anyon_transcribe_params& params) {
    static const std::array<float, 3> temperatures = {0.0f, 0.7f, NAN};
    static const std::array<double, 4> clips = {0.0, 0.5, 0.4, 1e12};
    static const std::array<int32_t, 4> tokens = {5, 20, -1, 1 << 20};
    switch (choices_.between(0, 19)) {
      case 0:
        params.language = some_text(choices_);
        break;
      case 1:
        params.task = some_int(choices_);
        break;
      case 2:
        params.temperatures = temperatures.data();
        params.temperature_count = static_cast<size_t>(choices_.between(0, 3));
        break;
      case 3:
        params.patience = some_float(choices_);
        break;
      case 4:
        params.length_penalty = some_float(choices_);
        break;
      case 5:
        params.repetition_penalty = some_float(choices_);
        params.no_repeat_ngram_size = some_int(choices_);
        break;
      case 6:
        params.max_new_tokens = some_int(choices_);
        break;
      case 7:
        params.compression_ratio_threshold = params.log_prob_threshold = some_float(choices_);
        break;
      case 8:
        params.no_speech_threshold = some_float(choices_);
        params.speech_gate = some_int(choices_);
        break;
      case 9:
        params.batch_size = choices_.of(std::vector<int32_t>{1, 2, 3, 0, -1, 65});
        break;
      case 10:
        params.condition_on_previous_text = some_int(choices_);
        params.prompt_reset_on_temperature = some_float(choices_);
        break;
      case 11:
        params.initial_prompt = {some_text(choices_), tokens.data(), static_cast<size_t>(choices_.between(0, 4))};
        if (choices_.coin()) params.initial_prompt.text = nullptr;
        params.carry_initial_prompt = choices_.coin();
        break;
      case 12:
        params.prefix = {some_text(choices_), nullptr, 0};
        params.hotwords = some_text(choices_);
        break;
      case 13:
        params.draft = {some_text(choices_), nullptr, 0};
        break;
      case 14:
        params.suppress_tokens = tokens.data();
        params.suppress_token_count = static_cast<size_t>(choices_.between(0, 4));
        break;
      case 15:
        params.without_timestamps = some_int(choices_);
        params.suppress_blank = choices_.coin();
        params.suppress_nothing = choices_.coin();
        break;
      case 16:
        params.max_initial_timestamp = some_float(choices_);
        break;
      case 17:
        params.word_timestamps = some_int(choices_);
        params.hallucination_silence_threshold = some_float(choices_);
        params.prepend_punctuations = some_text(choices_);
        break;
      case 18:
        params.clip_timestamps = clips.data();
        params.clip_timestamp_count = static_cast<size_t>(choices_.between(0, 4));
        break;
      default:
        params.language_detection_threshold = some_float(choices_);
        params.language_detection_segments = some_int(choices_);
    }
  }

  // At most 1.6 s of noise or of the input's own bits.
  std::vector<float> samples() {
    if (choices_.between(0, 7) == 0) {
      std::vector<float> raw(static_cast<size_t>(choices_.between(0, 200)));
      for (float& value : raw) value = choices_.raw<float>();
      return raw;
    }
    Numbers numbers(choices_.raw<uint32_t>());
    return numbers.floats(choices_.between(0, 25'600));
  }

  int32_t rate() { return choices_.of(std::vector<int32_t>{16000, 16000, 16000, 8000, 44100, 0, -1, 3999, 768001}); }

  void transcribe() {
    const std::vector<float> pcm = samples();
    const anyon_transcribe_params params = transcribe_params();
    const float* data = choices_.between(0, 31) == 0 ? nullptr : pcm.data();
    const anyon_status status = anyon_session_transcribe(sessions_[slot_], data, pcm.size(), rate(),
                                                         choices_.between(0, 31) == 0 ? nullptr : &params);
    if (sessions_[slot_] != nullptr) expect((status == ANYON_OK) == (*anyon_session_error(sessions_[slot_]) == '\0'));
  }

  void open_stream() {
    anyon_stream_free(streams_[slot_]);
    streams_[slot_] = nullptr;
    const anyon_transcribe_params params = transcribe_params();
    (void)anyon_stream_open(sessions_[slot_], &params, &streams_[slot_]);
  }

  void push() {
    const std::vector<float> pcm = samples();
    (void)anyon_stream_push(streams_[slot_], pcm.data(), pcm.size(), rate());
    if (choices_.between(0, 3) == 0) (void)anyon_stream_finish(streams_[slot_]);
  }

  void step() {
    for (int64_t steps = choices_.between(1, 4); steps > 0; --steps) {
      anyon_step result = -1;
      const anyon_status status = anyon_stream_step(streams_[slot_], choices_.between(0, 31) == 0 ? nullptr : &result);
      if (status != ANYON_OK || result != ANYON_STEP_SEGMENTS) return;
    }
  }

  void preview() {
    const char* text = nullptr;
    if (anyon_stream_preview(streams_[slot_], &text) == ANYON_OK) expect(text != nullptr);
  }

  void close() {
    if (choices_.coin()) free_model();
    if (choices_.coin()) close_session(slot_);
    anyon_stream_free(streams_[slot_]);
    streams_[slot_] = nullptr;
  }

  template <class Segment>
  static void look_at(const Segment* segment) {
    expect(segment != nullptr && segment->text != nullptr && std::strlen(segment->text) < (1u << 20));
    volatile int64_t sum = 0;
    for (size_t i = 0; i < segment->token_count; ++i) sum = sum + segment->tokens[i];
    for (size_t i = 0; i < segment->word_count; ++i) expect(segment->words[i].word != nullptr);
  }

  void look_at_results() {
    const anyon_session* session = sessions_[slot_];
    const anyon_stream* stream = streams_[slot_];
    (void)std::strlen(anyon_session_text(session));
    for (size_t i = 0; i < anyon_session_segment_count(session); ++i) look_at(anyon_session_segment(session, i));
    for (size_t i = 0; i < anyon_stream_segment_count(stream); ++i) look_at(anyon_stream_segment(stream, i));
    expect(anyon_session_segment(session, SIZE_MAX) == nullptr && anyon_stream_segment(stream, SIZE_MAX) == nullptr);
    for (const anyon_transcribe_info* info : {anyon_session_info(session), anyon_stream_info(stream)}) {
      if (info != nullptr) expect(info->language != nullptr && info->windows >= 0 && info->progress >= 0.0);
    }
    (void)anyon_session_error(session);
    (void)anyon_stream_error(stream);
  }

  Choices& choices_;
  size_t slot_ = 0;
  std::array<anyon_model*, kSlots> models_{};
  std::array<anyon_session*, kSlots> sessions_{};
  std::array<anyon_stream*, kSlots> streams_{};
  Watcher watcher_{1 << 20};
  std::vector<std::unique_ptr<Memory>> memories_;
  std::vector<std::unique_ptr<Loan>> loans_;
  std::vector<std::shared_ptr<void>> blocks_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  Program program(choices);
  for (int calls = 0; calls < 24 && !choices.empty(); ++calls) program.call();
  return 0;
}
