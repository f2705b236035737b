// What the executor itself costs: nanoseconds per op for ops that have almost nothing to do, and per run.
#include "program/native_session.h"

#include <chrono>
#include <cstdio>

#include "../../tests/cpp/bundle_writer.h"

namespace {

using namespace anyon;
using Json = nlohmann::json;

std::unique_ptr<NativeSession> chain_of(int ops) {
  Json program = {{"dims", {{"n", {1, 64}}}}, {"ops", Json::array()}};
  program["inputs"] = Json::array({{{"name", "v0"}, {"dtype", "f32"}, {"shape", {"n"}}}});
  for (int i = 0; i < ops; ++i) {
    program["ops"].push_back({{"op", "relu"},
                              {"name", ""},
                              {"inputs", {"v" + std::to_string(i)}},
                              {"outputs", {"v" + std::to_string(i + 1)}},
                              {"attrs", Json::object()}});
  }
  program["outputs"] = Json::array({{{"name", "v" + std::to_string(ops)}, {"dtype", "f32"}, {"shape", {"n"}}}});
  testing::BundleWriter writer;
  writer.manifest["programs"]["p"] = program;
  return std::make_unique<NativeSession>(writer.open(), "p", std::make_shared<ThreadPool>(1), selected_isa());
}

// Fastest of several rounds, so that other work on the machine does not count.
double nanoseconds_per_run(NativeSession& session) {
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const TensorView input{DType::kF32, {8}, x};
  TensorView output;
  constexpr int kRuns = 2000;
  double best = 1e30;
  for (int round = 0; round < 20; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRuns; ++i) session.run({&input, 1}, {&output, 1});
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    session.clear_events();
    best = std::min(best, took.count() / kRuns);
  }
  return best;
}

}  // namespace

int main() {
  const double one = nanoseconds_per_run(*chain_of(1));
  const double many = nanoseconds_per_run(*chain_of(101));
  std::printf("one run: %.0f ns; each further op (relu of 8 values): %.1f ns\n", one, (many - one) / 100);
  const auto profiled = chain_of(101);
  profiled->set_profiling(true);
  std::printf("each op with profiling on: %.1f ns\n", nanoseconds_per_run(*profiled) / 101);
  return 0;
}
