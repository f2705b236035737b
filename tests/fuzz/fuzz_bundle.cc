// Feeds the bundle reader, the program parser, the planner and the executor. An input is
//   {...}   a manifest, put into a well-formed bundle that has the tiny decoder's weights, or those of the golden
//   Whisper
//           where its family is "whisper", which then transcribes a second of noise;
//   [...    a safetensors header (after the '['), put before 4 KiB of data;
//   else    a whole file.
// Whatever happens, only anyon::Error may come out.
#include <cstdlib>
#include <cstring>
#include <new>

#include <fstream>
#include <iterator>

#include "../cpp/tiny_decoder.h"
#include "pipelines/transcribe.h"
#include "pipelines/whisper_model.h"
#include "program/native_session.h"

namespace {

using namespace anyon;
using Json = nlohmann::json;

// Programs past these are only planned: they would be slow, not wrong.
constexpr int64_t kMaxArena = 4 << 20;
constexpr int64_t kMaxInputElements = 4096;

// Exactly `file` on a 64-byte boundary, so that the sanitizer sees the first byte read past its end.
std::shared_ptr<const Bundle> open_exactly(const std::string& file) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, file.empty() ? 1 : file.size()) != 0) throw std::bad_alloc();
  const std::shared_ptr<void> owner(memory, std::free);
  std::memcpy(memory, file.data(), file.size());
  return Bundle::from_memory({static_cast<const std::byte*>(memory), file.size()}, owner, "fuzz.anyon");
}

// Tensors to put a manifest beside.
struct Weights {
  std::string header, data;  // without the opening brace

  Weights(Json json, std::string bytes) : data(std::move(bytes)) {
    json.erase("__metadata__");
    header = json.dump().substr(1);
  }
};

const Weights& decoder_weights() {
  static const testing::BundleWriter writer = testing::TinyDecoder(1).writer();
  static const Weights weights(writer.header(), writer.data());
  return weights;
}

const Weights& whisper_weights() {
  static const Weights weights = [] {
    std::ifstream file(std::string(ANYON_GOLDEN_FOLDER) + "/bundles/v1/whisper-f32.anyon", std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    uint64_t size = 0;
    if (content.size() < 8) std::abort();
    std::memcpy(&size, content.data(), 8);
    return Weights(Json::parse(content.substr(8, size)), content.substr(8 + size));
  }();
  return weights;
}

bool is_whisper(const std::string& manifest) {
  return manifest.find("\"family\":\"whisper\"") != std::string::npos;
}

std::string with_manifest(const std::string& manifest) {
  const Weights& weights = is_whisper(manifest) ? whisper_weights() : decoder_weights();
  const std::string text = Json(manifest).dump(-1, ' ', false, Json::error_handler_t::replace);
  return testing::raw_file(
      R"({"__metadata__":{"format":"anyon","anyon_version":"1","manifest":)" + text + "}," + weights.header,
      weights.data);
}

bool small(const Program& program, const std::vector<Shape>& shapes, int threads) {
  int64_t elements = 0;
  for (const Shape& shape : shapes) {
    int64_t bytes = 0;
    if (!checked_bytes(shape, DType::kU8, &bytes) || __builtin_add_overflow(elements, bytes, &elements)) return false;
  }
  if (elements > kMaxInputElements) return false;
  for (const ProgramState& state : program.states) {
    int64_t bytes = 8 * std::max<int64_t>(1, state.capacity);
    for (const Dim& dim : state.dims) {
      if (dim.symbol < 0 && __builtin_mul_overflow(bytes, dim.size, &bytes)) return false;
    }
    if (bytes > kMaxArena) return false;
  }
  return make_plan(program, shapes, Isa::kScalar, threads).arena_bytes <= kMaxArena;
}

void run(NativeSession& session, const std::vector<Shape>& shapes) {
  std::vector<std::vector<double>> memory;  // any dtype fits into 8 bytes an element
  std::vector<TensorView> inputs, outputs(session.outputs().size());
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto count = static_cast<size_t>(shapes[i].elements());
    std::vector<double>& values = memory.emplace_back(count + 1);
    const DType dtype = session.inputs()[i].dtype;
    for (size_t j = 0; j < count; ++j) {
      if (dtype == DType::kF32) {
        reinterpret_cast<float*>(values.data())[j] = 0.25f * static_cast<float>(j % 7);
      } else if (dtype == DType::kI64) {
        reinterpret_cast<int64_t*>(values.data())[j] = static_cast<int64_t>(j % 2);
      }
    }
    inputs.push_back({dtype, shapes[i], values.data()});
  }
  session.run(inputs, outputs);
  for (const TensorView& output : outputs) {
    volatile char last = output.bytes() > 0 ? output.as<char>()[output.bytes() - 1] : '\0';
    (void)last;
  }
}

void use_program(const std::shared_ptr<const Bundle>& bundle, const std::string& name,
                 const std::shared_ptr<ThreadPool>& pool) {
  try {
    NativeSession session(bundle, name, pool, bundle->manifest_text().size() % 2 == 0 ? Isa::kScalar : best_isa());
    for (const bool largest : {false, true}) {
      const std::vector<Shape> shapes = extreme_input_shapes(session.program(), largest);
      if (!small(session.program(), shapes, pool->size())) continue;
      run(session, shapes);
      session.reorder_states(std::vector<int64_t>{0, 0, 0});
      session.reorder_states(std::vector<int64_t>{2});
      session.truncate_states(session.state_length() / 2);
      run(session, shapes);
      session.reset_states();
      (void)session.placement();
    }
  } catch (const Error&) {
  }
}

// The whole pipeline, where sizes are near those of the golden Whisper.
void use_whisper(const std::shared_ptr<const Bundle>& bundle, const std::shared_ptr<ThreadPool>& pool) {
  const WhisperModel model(bundle);
  NativeSession encoder(bundle, "encoder", pool, best_isa()), decoder(bundle, "decoder", pool, best_isa());
  for (const NativeSession* session : {&encoder, &decoder}) {
    const Program& program = session->program();
    if (make_plan(program, extreme_input_shapes(program, true), Isa::kScalar, 1).arena_bytes > kMaxArena) return;
  }
  if (model.info.chunk_seconds > 2 || model.info.n_text_ctx > 64 || model.info.n_vocab > 4096) return;
  TranscribeOptions options;
  options.beam_size = options.best_of = 1 + static_cast<int>(bundle->manifest_text().size() % 2);
  options.temperatures = {0.0f};
  options.max_new_tokens = 6;
  options.word_timestamps = !model.info.alignment_heads.empty();
  Transcriber transcriber(model.info, model.tokenizer, encoder, decoder, *pool, options, best_isa());
  std::vector<float> noise(16000);
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = 0.1f * static_cast<float>(i * i % 101) / 101.0f;
  transcriber.push(noise, 16000);
  transcriber.finish();
  for (int windows = 0; windows < 8 && transcriber.step() == StepResult::kSegments; ++windows) {
  }
}

void use_bundle(const std::string& file) {
  static const auto pool = std::make_shared<ThreadPool>(1);
  try {
    const std::shared_ptr<const Bundle> bundle = open_exactly(file);
    for (const BundleTensor& tensor : bundle->tensors()) {
      volatile char last = tensor.view.bytes() > 0 ? tensor.view.as<char>()[tensor.view.bytes() - 1] : '\0';
      (void)last;
      if (bundle->find(tensor.name) != &tensor) std::abort();
    }
    if (const auto programs = bundle->manifest().find("programs");
        programs != bundle->manifest().end() && programs->is_object()) {
      for (const auto& [name, program] : programs->items()) use_program(bundle, name, pool);
    }
    if (is_whisper(bundle->manifest_text())) use_whisper(bundle, pool);
    bundle->verify_data();
  } catch (const Error&) {
  }
}

// Every value in a document, containers included.
void collect(Json& value, std::vector<Json*>& all) {
  all.push_back(&value);
  if (value.is_structured()) {
    for (Json& child : value) collect(child, all);
  }
}

Json interesting(uint32_t random, const std::vector<Json*>& all) {
  static const std::vector<Json> values = {0,
                                           1,
                                           2,
                                           -1,
                                           3,
                                           8,
                                           16,
                                           24,
                                           63,
                                           64,
                                           65,
                                           1024,
                                           65536,
                                           INT32_MAX,
                                           int64_t{1} << 40,
                                           INT64_MAX,
                                           UINT64_MAX,
                                           0.5,
                                           -0.0,
                                           1e-5,
                                           1e300,
                                           "",
                                           "x",
                                           "batch",
                                           "time",
                                           "past",
                                           "rows",
                                           "frames",
                                           "f32",
                                           "i64",
                                           "append",
                                           "replace",
                                           "gelu",
                                           nullptr,
                                           true,
                                           false,
                                           Json::array(),
                                           Json::object()};
  return random % 2 == 0 ? values[random / 2 % values.size()] : *all[random / 2 % all.size()];
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Half of the changes to a manifest keep it JSON: a value replaced, removed, doubled, or an op taken from another row.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (size == 0 || data[0] != '{' || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Json document = Json::parse(data, data + size, nullptr, false);
  if (document.is_discarded()) return LLVMFuzzerMutate(data, size, max_size);
  for (uint32_t changes = 1 + random() % 3; changes > 0; --changes) {
    std::vector<Json*> all;
    collect(document, all);
    Json& target = *all[random() % all.size()];
    Json value = interesting(static_cast<uint32_t>(random()), all);
    switch (random() % 4) {
      case 0:
        if (target.is_object() && !target.empty()) {
          target.erase(std::next(target.begin(), static_cast<std::ptrdiff_t>(random() % target.size())));
        } else if (target.is_array() && !target.empty()) {
          target.erase(random() % target.size());
        }
        break;
      case 1:
        if (target.is_array())
          target.insert(target.begin() + static_cast<std::ptrdiff_t>(random() % (target.size() + 1)), value);
        break;
      case 2:
        if (target.is_string()) {
          const auto rows = all_ops();
          target = rows[random() % rows.size()]->name;
          break;
        }
        [[fallthrough]];
      default:
        target = std::move(value);
    }
  }
  const std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > max_size || text[0] != '{') return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (!input.empty() && input[0] == '{') {
    use_bundle(with_manifest(input));
  } else if (!input.empty() && input[0] == '[') {
    use_bundle(testing::raw_file(input.substr(1), std::string(4096, '\1')));
  } else {
    use_bundle(input);
  }
  return 0;
}
