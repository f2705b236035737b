// Where a Whisper bundle's time goes: encoder, decoding step by step, and each kind of op in them.
// Usage: bench_whisper_programs BUNDLE [threads...]
#include "loops/whisper_programs.h"

#include <map>

#include "kernels/bench.h"
#include "program/native_session.h"

namespace {

using namespace anyon;

constexpr int64_t kFrames = 3000;
constexpr int kSteps = 100;

// Seconds by kind and size of op, the slowest first.
void print_ops(const NativeSession& session, double runs) {
  std::map<std::string, std::pair<double, int>> kinds;
  for (const OpEvent& event : session.events()) {
    const ProgramOp& op = session.program().ops[static_cast<size_t>(event.op)];
    std::string kind = op.row->name;
    for (const int input : op.inputs) {
      const Value* value = input < 0 ? nullptr : &session.program().values[static_cast<size_t>(input)];
      if (value == nullptr || value->kind != ValueKind::kWeight || value->weight.shape.rank() < 2) continue;
      for (const int64_t dim : value->weight.shape.dims()) kind += " " + std::to_string(dim);
      break;
    }
    kinds[kind].first += static_cast<double>(event.end_ns - event.begin_ns) * 1e-3 / runs;
    ++kinds[kind].second;
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [kind, time] : kinds) order.emplace_back(time.first, kind);
  std::sort(order.rbegin(), order.rend());
  for (const auto& [time, kind] : order) {
    std::printf("  %10.1f us  %5.1f ops  %s\n", time, kinds[kind].second / runs, kind.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_whisper_programs BUNDLE [threads...]\n");
    return 2;
  }
  const std::shared_ptr<const Bundle> bundle = Bundle::open(argv[1]);
  std::vector<int> counts;
  for (int i = 2; i < argc; ++i) counts.push_back(std::atoi(argv[i]));
  if (counts.empty()) counts = {1, 2};
  for (const int threads : counts) {
    const auto pool = std::make_shared<ThreadPool>(threads);
    NativeSession encoder(bundle, "encoder", pool, selected_isa()), decoder(bundle, "decoder", pool, selected_isa());
    int layers = 0;
    for (const ValueInfo& output : encoder.outputs()) layers += output.name.starts_with("cross_key_") ? 1 : 0;
    int64_t n_vocab = 0;
    for (const ValueInfo& output : decoder.outputs()) {
      if (output.name == "logits") n_vocab = std::stoll(output.dims[2]);
    }
    const int64_t n_mels = std::stoll(encoder.inputs()[0].dims[1]);
    WhisperPrograms whisper(encoder, decoder, layers, n_vocab);
    const bench::Buffer mel(n_mels * kFrames);
    const int64_t prompt[] = {50257, 50362}, token = 1000, first[] = {0}, last[] = {1};
    const auto steps = [&] {
      whisper.reset();
      whisper.decode(prompt, 1, last);
      for (int i = 0; i < kSteps; ++i) whisper.decode({&token, 1}, 1, first);
    };
    whisper.encode(mel.data(), n_mels, kFrames);
    const double encode = bench::best_seconds([&] { whisper.encode(mel.data(), n_mels, kFrames); }, 1.0);
    const double decode = bench::best_seconds(steps, 1.0);
    whisper.reset();
    const double begin = bench::best_seconds(
        [&] {
          whisper.reset();
          whisper.decode(prompt, 1, last);
        },
        0.3);
    std::printf("%s, %d thread(s): encoder %.1f ms, prompt %.2f ms, %.3f ms per token\n", name(selected_isa()), threads,
                encode * 1e3, begin * 1e3, (decode - begin) * 1e3 / kSteps);
    encoder.set_profiling(true);
    for (int i = 0; i < 5; ++i) whisper.encode(mel.data(), n_mels, kFrames);
    std::printf(" encoder\n");
    print_ops(encoder, 5);
    whisper.decode(prompt, 1, last);
    decoder.set_profiling(true);
    for (int i = 0; i < kSteps; ++i) whisper.decode({&token, 1}, 1, first);
    std::printf(" decoder, one step\n");
    print_ops(decoder, kSteps);
  }
}
