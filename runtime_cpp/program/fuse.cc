// Finds ops with a single reader and merges them into it.
#include "program/fuse.h"

#include <algorithm>

#include "program/ops/layer_norm.h"
#include "program/ops/linear_pair_i8.h"

namespace anyon {
namespace {

class Fuser {
 public:
  explicit Fuser(Program& program) : program_(program) {}

  void run() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      if (is<LayerNorm>(i)) put_norm_into_reader(i);
    }
    drop_merged();
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      if (is<LinearI8>(i)) put_linear_into_reader(i);
    }
    drop_merged();
  }

 private:
  template <class T>
  bool is(size_t op) const {
    return as<T>(op) != nullptr;
  }
  template <class T>
  const T* as(size_t op) const {
    return dynamic_cast<const T*>(program_.ops[op].op.get());
  }

  // The linear_i8 that reads output 0 of the op as x, if nothing else reads it; else null.
  ProgramOp* only_reader(const ProgramOp& op) {
    const int value = op.outputs[0];
    for (const ProgramPort& output : program_.outputs) {
      if (output.value == value) return nullptr;
    }
    for (const ProgramState& state : program_.states) {
      if (state.value == value || state.update == value) return nullptr;
    }
    ProgramOp* reader = nullptr;
    for (ProgramOp& other : program_.ops) {
      const auto reads = std::count(other.inputs.begin(), other.inputs.end(), value);
      if (reads == 0) continue;
      if (reader != nullptr || reads > 1 || other.inputs[0] != value || other.held != op.held) return nullptr;
      reader = &other;
    }
    return reader != nullptr && is<LinearI8>(static_cast<size_t>(reader->index)) ? reader : nullptr;
  }

  void put_norm_into_reader(size_t index) {
    ProgramOp& norm = program_.ops[index];
    ProgramOp* reader = only_reader(norm);
    if (reader == nullptr) return;
    reader->op = as<LinearI8>(static_cast<size_t>(reader->index))->normed(as<LayerNorm>(index)->epsilon());
    reader->inputs.resize(LinearI8::kInputs, -1);
    reader->inputs[LinearI8::kX] = norm.inputs[0];
    reader->inputs[LinearI8::kNormScale] = norm.inputs[1];
    reader->inputs[LinearI8::kNormBias] = norm.inputs[2];
    norm.op = nullptr;
  }

  void put_linear_into_reader(size_t index) {
    ProgramOp& first = program_.ops[index];
    ProgramOp* second = only_reader(first);
    if (second == nullptr) return;
    first.inputs.resize(LinearI8::kInputs, -1);
    second->inputs.resize(LinearI8::kInputs, -1);
    const bool adds_x = second->inputs[LinearI8::kResidual] == first.inputs[LinearI8::kX];
    second->inputs[LinearI8::kX] = -1;
    if (adds_x) second->inputs[LinearI8::kResidual] = -1;
    second->op = std::make_unique<LinearPairI8>(linear(std::move(first.op)), linear(std::move(second->op)), adds_x);
    second->inputs.insert(second->inputs.begin(), first.inputs.begin(), first.inputs.end());
    second->row = &kLinearPairI8Row;
    second->name = first.name + " + " + second->name;
  }

  static std::unique_ptr<const LinearI8> linear(std::unique_ptr<const Op> op) {
    return std::unique_ptr<const LinearI8>(static_cast<const LinearI8*>(op.release()));
  }

  void drop_merged() {
    std::erase_if(program_.ops, [](const ProgramOp& op) { return op.op == nullptr; });
    for (size_t i = 0; i < program_.ops.size(); ++i) program_.ops[i].index = static_cast<int>(i);
  }

  Program& program_;
};

}  // namespace

void fuse_ops(Program& program) {
  Fuser(program).run();
}

}  // namespace anyon
