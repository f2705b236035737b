// What a session keeps of one signal: its states, its held and broadcast inputs, and what was made of them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/arena.h"
#include "program/plan.h"
#include "program/program.h"
#include "program/state_store.h"

namespace anyon {

struct Slot {
  explicit Slot(const Program& program) : states(program) {}

  // Whether the inputs that the slot keeps were given, in these shapes.
  bool has(const Program& program, std::span<const TensorView> inputs) const;
  void remember_shapes(const Program& program, std::span<const TensorView> inputs);
  // Copies the inputs whose data runs read, because the caller's memory serves another slot next.
  void copy_inputs(const Program& program, std::span<const TensorView> inputs);
  // Points values at the copies, and at what was made of held inputs.
  void point(const Program& program, const Plan& plan, std::vector<TensorView>& values) const;
  void forget();

  StateStore states;
  Arena held;                      // values made from held inputs
  std::vector<Shape> shapes;       // of the inputs kept; empty when they are missing
  std::vector<std::byte*> copies;  // by input of the program; null: the caller's memory, or not read
  Arena memory;                    // of the copies
};

}  // namespace anyon
