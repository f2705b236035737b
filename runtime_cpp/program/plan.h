// What a run with given input shapes needs: every value's shape, its place in the arena, and the steps to take.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/isa.h"
#include "core/tensor.h"
#include "program/program.h"

namespace anyon {

// One call of an op's run().
struct PlanStep {
  const ProgramOp* op = nullptr;
  int64_t workspace = 0;  // offset in the arena
};

struct ArenaPlace {
  int value = -1;
  int64_t offset = 0;
};

// A value that is another one under a different shape, where the other moves from run to run (an input or state).
struct MovingView {
  int value = -1, root = -1;
};

// An output whose value the next run would not keep (an input, weight or state): copied to the arena.
struct OutputCopy {
  int output = -1;
  int64_t offset = 0;
};

struct Plan {
  std::vector<Shape> input_shapes;  // the plan is right for exactly these
  std::vector<TensorView> values;   // one per value of the program; data is filled in per run
  std::vector<PlanStep> steps;
  std::vector<PlanStep> held_steps;  // run before the others when held values are missing
  std::vector<ArenaPlace> places;
  std::vector<ArenaPlace> held_places;  // in the memory that lives until the next reset
  std::vector<MovingView> views;
  std::vector<OutputCopy> copies;
  int64_t batch = 0;      // of the states; 0 without states
  int64_t positions = 0;  // that every growing state gains
  int64_t arena_bytes = 0;
  int64_t held_bytes = 0;
  // While planning: what infer() asked for, per op and per state.
  std::vector<int64_t> workspace_bytes;
  std::vector<int64_t> appended;
};

// Throws Error: kInvalidArgument (shapes the program does not allow), kBadProgram (ops that do not fit together),
// kOutOfMemory (sizes beyond addressing).
Plan make_plan(const Program& program, std::span<const Shape> input_shapes, Isa isa, int threads);

// Shapes of all inputs with every dimension at its smallest (but at least 1), or at its largest.
std::vector<Shape> extreme_input_shapes(const Program& program, bool largest);

}  // namespace anyon
