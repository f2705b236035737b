// Runs the nodes of a program one after the other; values live until their last reader returned.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/limits.h"
#include "graph/memory.h"
#include "graph/program.h"
#include "graph/run.h"

namespace anyon::graph {

// What a run may use, so that no graph and no input can take the whole machine.
struct Limits {
  int64_t memory = default_memory();  // bytes of values
  int64_t iterations =
      limits::kGraphIterations;  // of all loops together: what tells a loop without end from a long one

  // Half of the machine's.
  static int64_t default_memory();
};

// One thread at a time.
class Executor {
 public:
  Executor(const GraphProgram& program, std::shared_ptr<ThreadPool> pool, Isa isa, const Limits& limits);

  // Inputs and outputs in the program's order.
  std::vector<Tensor> run(std::span<const Tensor> inputs);

  std::vector<Tensor> call(const Block& block, std::span<const Tensor> inputs);
  void clear();

  const GraphProgram& program() const { return program_; }
  Memory& memory() { return memory_; }
  ThreadPool& pool() { return *pool_; }
  Isa isa() const { return isa_; }
  Tensor& slot(int index) { return slots_[static_cast<size_t>(index)]; }
  void count_iteration();
  uint64_t& random_state() { return random_state_; }
  // Where a node keeps what it derived from the weight in `slot`; null when the slot is no weight.
  Tensor* kept_for(const Node& node, int slot);

 private:
  void execute(const Block& block);

  const GraphProgram& program_;
  const std::shared_ptr<ThreadPool> pool_;
  const Isa isa_;
  const Limits limits_;
  Memory memory_;
  std::vector<Tensor> slots_;
  std::map<std::pair<const Node*, int>, Tensor> derived_;
  int64_t iterations_ = 0;
  uint64_t random_state_ = 0;
};

}  // namespace anyon::graph
