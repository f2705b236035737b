// Keeping, comparing and finding again what belongs to one signal.
#include "program/slot.h"

#include <cstring>

#include "core/checked.h"
#include "core/status.h"

namespace anyon {
namespace {

bool is_kept(const ProgramPort& input) {
  return input.held || input.broadcast;
}

// Whether an op of every run reads the input itself. A view hands it on, so it counts as one.
bool is_read(const Program& program, int value) {
  for (const ProgramOp& op : program.ops) {
    if (op.held && !op.op->is_view()) continue;
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      if (op.inputs[i] == value && op.op->reads(static_cast<int>(i), op.inputs)) return true;
    }
  }
  return false;
}

}  // namespace

bool Slot::has(const Program& program, std::span<const TensorView> inputs) const {
  if (shapes.empty()) return false;
  size_t known = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_kept(program.inputs[i]) && !(shapes[known++] == inputs[i].shape)) return false;
  }
  return true;
}

void Slot::remember_shapes(const Program& program, std::span<const TensorView> inputs) {
  shapes.clear();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_kept(program.inputs[i])) shapes.push_back(inputs[i].shape);
  }
}

void Slot::copy_inputs(const Program& program, std::span<const TensorView> inputs) {
  std::vector<int64_t> offsets(inputs.size(), -1);
  int64_t total = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_kept(program.inputs[i]) || !is_read(program, program.inputs[i].value)) continue;
    offsets[i] = total;
    int64_t rounded = 0;
    if (!checked_round_up(inputs[i].bytes(), Arena::kAlignment, &rounded) || !checked_add(total, rounded, &total)) {
      throw_error(Status::kOutOfMemory, {program.where, ": a slot's inputs are too large; use fewer slots"});
    }
  }
  if (total > memory.size()) {
    memory = Arena();
    memory = Arena(total, program.bundle->allocator());
  }
  copies.assign(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (offsets[i] < 0) continue;
    copies[i] = memory.at(offsets[i]);
    if (const int64_t bytes = inputs[i].bytes(); bytes > 0) {
      std::memcpy(copies[i], inputs[i].data, static_cast<size_t>(bytes));
    }
  }
}

void Slot::point(const Program& program, const Plan& plan, std::vector<TensorView>& values) const {
  for (const ArenaPlace& place : plan.held_places)
    values[static_cast<size_t>(place.value)].data = held.at(place.offset);
  for (size_t i = 0; i < copies.size(); ++i) {
    if (copies[i] != nullptr) values[static_cast<size_t>(program.inputs[i].value)].data = copies[i];
  }
}

void Slot::forget() {
  shapes.clear();
  copies.clear();
  states.reset();
}

}  // namespace anyon
