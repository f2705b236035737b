// Finds ops that belong together and merges them.
#include "program/fuse.h"

#include <algorithm>

#include "program/ops/layer_norm.h"
#include "program/ops/linear_group_i8.h"
#include "program/ops/linear_pair_i8.h"
#include "program/ops/split_heads.h"

namespace anyon {
namespace {

class Fuser {
 public:
  explicit Fuser(Program& program) : program_(program) {}

  void run() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      if (as<LinearI8>(program_.ops[i]) != nullptr) group_readers_of_x(i);
    }
    drop_merged();
    for (ProgramOp& op : program_.ops) {
      if (as<LayerNorm>(op) != nullptr) put_norm_into_reader(op);
    }
    drop_merged();
    for (ProgramOp& op : program_.ops) {
      if (as<LinearI8>(op) != nullptr) put_linear_into_reader(op);
    }
    drop_merged();
  }

 private:
  template <class T>
  static const T* as(const ProgramOp& op) {
    return dynamic_cast<const T*>(op.op.get());
  }

  static std::unique_ptr<const LinearI8> linear_of(ProgramOp& op) {
    return std::unique_ptr<const LinearI8>(static_cast<const LinearI8*>(op.op.release()));
  }

  // The op that reads output 0 of `op`, as its input 0, if nothing else reads it; else null.
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
      if (other.op == nullptr) continue;
      const auto reads = std::count(other.inputs.begin(), other.inputs.end(), value);
      if (reads == 0) continue;
      if (reader != nullptr || reads > 1 || other.inputs[0] != value || other.held != op.held) return nullptr;
      reader = &other;
    }
    return reader;
  }

  static bool has_input(const ProgramOp& op, size_t input) { return input < op.inputs.size() && op.inputs[input] >= 0; }

  // Whether the two round the same x in the same way, and need nothing that is made between them.
  static bool can_share_x(const ProgramOp& a, const ProgramOp& b) {
    if (a.inputs[0] != b.inputs[0] || a.held != b.held) return false;
    const LinearI8* first = as<LinearI8>(a);
    const LinearI8* second = as<LinearI8>(b);
    if (first == nullptr || second == nullptr) return false;
    if (has_input(a, LinearI8::kResidual) || has_input(b, LinearI8::kResidual)) return false;
    return first->k() == second->k() && first->input_bits() == second->input_bits();
  }

  // Merges op `index` with the later linears that read its x, and each with the split_heads behind it.
  void group_readers_of_x(size_t index) {
    ProgramOp& first = program_.ops[index];
    std::vector<ProgramOp*> ops;
    std::vector<ProgramOp*> splits;
    for (size_t i = index; i < program_.ops.size() && ops.size() < LinearGroupI8::kMaxMembers; ++i) {
      if (!can_share_x(first, program_.ops[i])) continue;
      ops.push_back(&program_.ops[i]);
      ProgramOp* reader = only_reader(program_.ops[i]);
      const SplitHeads* split = reader == nullptr ? nullptr : as<SplitHeads>(*reader);
      const bool fits = split != nullptr && LinearGroupI8::takes_heads(*as<LinearI8>(program_.ops[i]), split->heads());
      splits.push_back(fits ? reader : nullptr);
    }
    const bool any_split = std::any_of(splits.begin(), splits.end(), [](const ProgramOp* op) { return op != nullptr; });
    if (ops.empty() || (ops.size() == 1 && !any_split)) return;
    std::vector<LinearGroupI8::Member> members;
    std::vector<int> inputs, outputs;
    for (size_t i = 0; i < ops.size(); ++i) {
      ProgramOp& op = *ops[i];
      op.inputs.resize(LinearI8::kInputs, -1);
      if (i > 0) op.inputs[LinearI8::kX] = -1;
      inputs.insert(inputs.end(), op.inputs.begin(), op.inputs.end());
      outputs.push_back(splits[i] == nullptr ? op.outputs[0] : splits[i]->outputs[0]);
      members.push_back({linear_of(op), splits[i] == nullptr ? 0 : as<SplitHeads>(*splits[i])->heads()});
      if (splits[i] != nullptr) splits[i]->op = nullptr;
    }
    if (ops.size() > 1) first.name += " and " + std::to_string(ops.size() - 1) + " more";
    first.op = std::make_unique<LinearGroupI8>(std::move(members));
    first.row = &kLinearGroupI8Row;
    first.inputs = std::move(inputs);
    first.outputs = std::move(outputs);
  }

  void put_norm_into_reader(ProgramOp& norm) {
    ProgramOp* reader = only_reader(norm);
    if (reader == nullptr) return;
    const float epsilon = as<LayerNorm>(norm)->epsilon();
    if (const LinearI8* linear = as<LinearI8>(*reader)) {
      reader->op = linear->normed(epsilon);
      reader->inputs.resize(LinearI8::kInputs, -1);
    } else if (const LinearGroupI8* group = as<LinearGroupI8>(*reader)) {
      reader->op = group->normed(epsilon);
    } else {
      return;
    }
    reader->inputs[LinearI8::kX] = norm.inputs[0];
    reader->inputs[LinearI8::kNormScale] = norm.inputs[1];
    reader->inputs[LinearI8::kNormBias] = norm.inputs[2];
    norm.op = nullptr;
  }

  void put_linear_into_reader(ProgramOp& first) {
    ProgramOp* second = only_reader(first);
    if (second == nullptr || as<LinearI8>(*second) == nullptr) return;
    first.inputs.resize(LinearI8::kInputs, -1);
    second->inputs.resize(LinearI8::kInputs, -1);
    const bool adds_x = second->inputs[LinearI8::kResidual] == first.inputs[LinearI8::kX];
    second->inputs[LinearI8::kX] = -1;
    if (adds_x) second->inputs[LinearI8::kResidual] = -1;
    second->op = std::make_unique<LinearPairI8>(linear_of(first), linear_of(*second), adds_x);
    second->inputs.insert(second->inputs.begin(), first.inputs.begin(), first.inputs.end());
    second->row = &kLinearPairI8Row;
    second->name = first.name + " + " + second->name;
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
