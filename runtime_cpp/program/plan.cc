// Shape inference over the op list, then lifetimes, then placement.
#include "program/plan.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "core/arena.h"
#include "program/describe.h"
#include "program/layout.h"

namespace anyon {
namespace {

constexpr int64_t kUnbound = -1;

// Gives the program's symbols their sizes for one set of input shapes.
class SymbolSizes {
 public:
  explicit SymbolSizes(const Program& program) : program_(program), sizes_(program.symbols.size(), kUnbound) {}

  int64_t of(int symbol) const { return sizes_[static_cast<size_t>(symbol)]; }
  int64_t of(const Dim& dim) const { return dim.symbol < 0 ? dim.size : of(dim.symbol); }

  // `what` and `status` describe the value whose shape this is.
  void bind(const std::vector<Dim>& dims, const Shape& shape, bool skip_batch, const std::string& what, Status status) {
    if (static_cast<size_t>(shape.rank()) != dims.size()) fail(dims, shape, what, status);
    for (int axis = skip_batch ? 1 : 0; axis < shape.rank(); ++axis) {
      const Dim& dim = dims[static_cast<size_t>(axis)];
      const int64_t actual = shape[axis];
      if (dim.symbol < 0) {
        if (actual != dim.size) fail(dims, shape, what, status);
        continue;
      }
      const Symbol& symbol = program_.symbols[static_cast<size_t>(dim.symbol)];
      if (actual < symbol.min || actual > symbol.max) {
        throw_error(status, {program_.where, ": ", what, ": '", symbol.name, "' is ", actual, ", allowed are ",
                             symbol.min, " to ", symbol.max});
      }
      int64_t& bound = sizes_[static_cast<size_t>(dim.symbol)];
      if (bound != kUnbound && bound != actual) {
        throw_error(status, {program_.where, ": ", what, ": '", symbol.name, "' is ", actual,
                             ", but another input or output says ", bound});
      }
      bound = actual;
    }
  }

 private:
  [[noreturn]] void fail(const std::vector<Dim>& dims, const Shape& shape, const std::string& what, Status status) {
    std::string wanted;
    for (const Dim& dim : dims) {
      wanted += wanted.empty() ? "[" : ", ";
      wanted += dim.symbol < 0 ? std::to_string(dim.size) : program_.symbols[static_cast<size_t>(dim.symbol)].name;
    }
    throw_error(status, {program_.where, ": ", what, " has shape ", shape_text(shape), ", needs ",
                         (wanted.empty() ? "[" : wanted), "]"});
  }

  const Program& program_;
  std::vector<int64_t> sizes_;
};

class Planner {
 public:
  Planner(const Program& program, Plan& plan) : program_(program), plan_(plan), sizes_(program) {}

  void plan(std::span<const Shape> input_shapes, Isa isa, int threads) {
    plan_.input_shapes.assign(input_shapes.begin(), input_shapes.end());
    plan_.values.resize(program_.values.size());
    plan_.workspace_bytes.assign(program_.ops.size(), 0);
    plan_.appended.assign(program_.states.size(), 0);
    bind_inputs();
    bind_weights_and_states();
    for (const ProgramOp& op : program_.ops) {
      InferContext context(program_, op, plan_, isa, threads);
      op.op->infer(context);
    }
    check_outputs();
    check_states();
    find_roots();
    place();
  }

 private:
  TensorView& view(int value) { return plan_.values[static_cast<size_t>(value)]; }
  const Value& value(int index) const { return program_.values[static_cast<size_t>(index)]; }

  void bind_inputs() {
    for (size_t i = 0; i < program_.inputs.size(); ++i) {
      const ProgramPort& input = program_.inputs[i];
      sizes_.bind(input.dims, plan_.input_shapes[i], input.broadcast, "input '" + program_.input_infos[i].name + "'",
                  Status::kInvalidArgument);
      view(input.value).dtype = input.dtype;
      view(input.value).shape = plan_.input_shapes[i];
    }
    for (size_t i = 0; i < program_.inputs.size(); ++i) {
      if (!program_.inputs[i].broadcast) continue;
      const int64_t batch = sizes_.of(program_.inputs[i].dims[0]);
      const int64_t rows = plan_.input_shapes[i][0];
      if (rows < 1 ? batch != rows : batch % rows != 0) {
        throw_error(Status::kInvalidArgument, {program_.where, ": input '", program_.input_infos[i].name, "' has ",
                                               rows, " rows, which do not divide the batch of ", batch});
      }
    }
  }

  void bind_weights_and_states() {
    for (size_t i = 0; i < program_.values.size(); ++i) {
      if (program_.values[i].kind == ValueKind::kWeight) plan_.values[i] = program_.values[i].weight;
    }
    for (const ProgramState& state : program_.states) {
      plan_.batch = sizes_.of(state.dims[0]);
      if (state.kind != StateKind::kReplace) continue;
      TensorView& read = view(state.value);
      read.dtype = state.dtype;
      read.shape = state_shape(state);
    }
  }

  Shape state_shape(const ProgramState& state) const {
    std::array<int64_t, Shape::kMaxRank> dims{};
    for (size_t axis = 0; axis < state.dims.size(); ++axis) dims[axis] = sizes_.of(state.dims[axis]);
    return Shape(std::span(dims).first(state.dims.size()));
  }

  void check_outputs() {
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const ProgramPort& output = program_.outputs[i];
      const std::string what = "output '" + program_.output_infos[i].name + "'";
      if (view(output.value).dtype != output.dtype) {
        throw_error(Status::kBadProgram, {program_.where, ": ", what, " is ", dtype_text(view(output.value).dtype),
                                          ", the program declares ", dtype_text(output.dtype)});
      }
      sizes_.bind(output.dims, view(output.value).shape, false, what, Status::kBadProgram);
    }
  }

  void check_states() {
    std::optional<int64_t> positions;
    for (size_t i = 0; i < program_.states.size(); ++i) {
      const ProgramState& state = program_.states[i];
      if (state.kind == StateKind::kReplace) {
        const TensorView& update = view(state.update);
        if (update.dtype != state.dtype || update.shape != state_shape(state)) {
          throw_error(Status::kBadProgram, {program_.where, ": state '", state.name, "' is updated by ",
                                            dtype_text(update.dtype), " ", shape_text(update.shape), ", needs ",
                                            dtype_text(state.dtype), " ", shape_text(state_shape(state))});
        }
      } else if (positions.value_or(plan_.appended[i]) != plan_.appended[i]) {
        throw_error(Status::kBadProgram, {program_.where, ": state '", state.name, "' grows by ", plan_.appended[i],
                                          " positions, another by ", *positions});
      } else {
        positions = plan_.appended[i];
      }
    }
    plan_.positions = positions.value_or(0);
  }

  // The value that owns each value's memory.
  void find_roots() {
    roots_.resize(program_.values.size());
    for (size_t i = 0; i < roots_.size(); ++i) roots_[i] = static_cast<int>(i);
    for (const ProgramOp& op : program_.ops) {
      if (op.op->is_view()) roots_[static_cast<size_t>(op.outputs[0])] = root(op.inputs[0]);
    }
  }
  int root(int value) const { return roots_[static_cast<size_t>(value)]; }

  void place() {
    const int end = static_cast<int>(program_.ops.size());
    last_use_.assign(program_.values.size(), -1);
    for (const ProgramOp& op : program_.ops) {
      for (const int input : op.inputs) {
        if (input >= 0) last_use_[static_cast<size_t>(root(input))] = op.index;
      }
    }
    for (const ProgramPort& output : program_.outputs) last_use_[static_cast<size_t>(root(output.value))] = end;
    for (const ProgramState& state : program_.states) {
      if (state.kind == StateKind::kReplace) last_use_[static_cast<size_t>(root(state.update))] = end;
    }
    block_of_.assign(program_.values.size(), -1);
    for (const ProgramOp& op : program_.ops) {
      if (!op.op->is_view() && !op.held) allocate_outputs(op);
    }
    place_held(end);
    const size_t value_blocks = blocks_.size();
    for (const int64_t bytes : plan_.workspace_bytes) {
      const int op = static_cast<int>(blocks_.size() - value_blocks);
      blocks_.push_back({bytes, op, op, 0});
    }
    add_output_copies(end);
    plan_.arena_bytes = place_blocks(blocks_);
    for (size_t i = 0; i < plan_.copies.size(); ++i) {
      plan_.copies[i].offset = blocks_[value_blocks + program_.ops.size() + i].offset;
    }
    record(value_blocks);
  }

  // Held values never share memory: their offsets depend on the shapes of held inputs alone, so they stay where they
  // are when another plan takes over.
  void place_held(int end) {
    std::vector<MemoryBlock> blocks;
    std::vector<int> outputs;
    for (const ProgramOp& op : program_.ops) {
      if (!op.held || op.op->is_view()) continue;
      for (const int output : op.outputs) {
        blocks.push_back({view(output).bytes(), 0, end, 0});
        outputs.push_back(output);
      }
    }
    plan_.held_bytes = place_blocks(blocks);
    for (size_t i = 0; i < blocks.size(); ++i) held_offset_[outputs[i]] = blocks[i].offset;
  }

  void allocate_outputs(const ProgramOp& op) {
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      const int output = op.outputs[i];
      const int last = std::max(op.index, last_use_[static_cast<size_t>(output)]);
      int block = i == 0 ? reusable_block(op) : -1;
      if (block < 0) {
        block = static_cast<int>(blocks_.size());
        blocks_.push_back({view(output).bytes(), op.index, last, 0});
      }
      blocks_[static_cast<size_t>(block)].last = last;
      block_of_[static_cast<size_t>(output)] = block;
    }
  }

  // The block of an input that ends its life here and that the op may overwrite, or -1.
  int reusable_block(const ProgramOp& op) {
    for (int i = 0; i < static_cast<int>(op.inputs.size()); ++i) {
      const int input = op.inputs[static_cast<size_t>(i)];
      if (input < 0 || !op.op->may_reuse(i)) continue;
      const int block = block_of_[static_cast<size_t>(root(input))];
      const bool fits = block >= 0 && blocks_[static_cast<size_t>(block)].last == op.index &&
                        view(input).dtype == view(op.outputs[0]).dtype &&
                        view(input).shape == view(op.outputs[0]).shape;
      const auto shares = [&](int other) { return other >= 0 && block_of_[static_cast<size_t>(root(other))] == block; };
      if (fits && std::count_if(op.inputs.begin(), op.inputs.end(), shares) == 1) return block;
    }
    return -1;
  }

  void add_output_copies(int end) {
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const int output = program_.outputs[i].value;
      if (value(root(output)).kind == ValueKind::kComputed && !value(root(output)).held) continue;
      plan_.copies.push_back({static_cast<int>(i), 0});
      blocks_.push_back({view(output).bytes(), end, end, 0});
    }
  }

  bool is_made(int value) const {
    return block_of_[static_cast<size_t>(value)] >= 0 || held_offset_.find(value) != held_offset_.end();
  }

  // Turns blocks into what the executor walks over.
  void record(size_t value_blocks) {
    for (int i = 0; i < static_cast<int>(program_.values.size()); ++i) {
      const int owner = root(i);
      const ValueKind kind = value(owner).kind;
      if (kind == ValueKind::kComputed && !is_made(owner)) continue;  // it lies inside a fused op
      if (kind == ValueKind::kComputed && value(owner).held) {
        plan_.held_places.push_back({i, held_offset_.at(owner)});
      } else if (kind == ValueKind::kComputed) {
        plan_.places.push_back({i, blocks_[static_cast<size_t>(block_of_[static_cast<size_t>(owner)])].offset});
      } else if (owner != i && kind == ValueKind::kWeight) {
        view(i).data = view(owner).data;
      } else if (owner != i) {
        plan_.views.push_back({i, owner});
      }
    }
    for (const ProgramOp& op : program_.ops) {
      const auto empty = [&](int output) { return view(output).bytes() == 0; };
      if (op.op->is_view() || std::all_of(op.outputs.begin(), op.outputs.end(), empty)) continue;
      (op.held ? plan_.held_steps : plan_.steps)
          .push_back({&op, blocks_[value_blocks + static_cast<size_t>(op.index)].offset});
    }
  }

  const Program& program_;
  Plan& plan_;
  SymbolSizes sizes_;
  std::vector<int> roots_;
  std::vector<int> last_use_;  // by root: the last op that reads it, ops.size() when it outlives the run
  std::vector<int> block_of_;  // by root
  std::unordered_map<int, int64_t> held_offset_;  // by value
  std::vector<MemoryBlock> blocks_;
};

}  // namespace

Plan make_plan(const Program& program, std::span<const Shape> input_shapes, Isa isa, int threads) {
  Plan plan;
  Planner(program, plan).plan(input_shapes, isa, threads);
  return plan;
}

std::vector<Shape> extreme_input_shapes(const Program& program, bool largest) {
  std::vector<Shape> shapes;
  for (const ProgramPort& input : program.inputs) {
    std::array<int64_t, Shape::kMaxRank> dims{};
    for (size_t axis = 0; axis < input.dims.size(); ++axis) {
      const Dim& dim = input.dims[axis];
      if (dim.symbol < 0) {
        dims[axis] = dim.size;
        continue;
      }
      const Symbol& symbol = program.symbols[static_cast<size_t>(dim.symbol)];
      dims[axis] = largest ? symbol.max : std::min(std::max<int64_t>(symbol.min, 1), symbol.max);
    }
    shapes.emplace_back(std::span<const int64_t>(dims).first(input.dims.size()));
  }
  return shapes;
}

}  // namespace anyon
