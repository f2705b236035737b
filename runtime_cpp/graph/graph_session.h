// The native backend for graph programs: any ONNX graph of ops this build has, shapes found while it runs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/executor.h"
#include "program/session.h"

namespace anyon::graph {

// Unlike a NativeSession it allocates while it runs (within Memory's limit) and has no states.
class GraphSession final : public Session {
 public:
  // Throws Error as parse_graph_program() does.
  GraphSession(std::shared_ptr<const Bundle> bundle, const std::string& program, std::shared_ptr<ThreadPool> pool,
               Isa isa, const Limits& limits = {});

  const std::vector<ValueInfo>& inputs() const override { return program_.input_infos; }
  const std::vector<ValueInfo>& outputs() const override { return program_.output_infos; }
  void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) override;
  void reset_states() override;
  void reorder_states(std::span<const int64_t>) override {}
  void truncate_states(int64_t) override {}
  int64_t state_length() const override { return 0; }

  const GraphProgram& program() const { return program_; }

 private:
  std::vector<Tensor> checked(std::span<const TensorView> inputs) const;

  const GraphProgram program_;
  Executor executor_;
  std::vector<Tensor> results_;  // keeps the memory of the last run's outputs
  bool poisoned_ = false;
};

}  // namespace anyon::graph
