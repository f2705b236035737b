// The executor: check the inputs, find the plan, point values at memory, run the steps, keep the states.
#include "program/native_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "graph/graph_session.h"
#include "program/describe.h"

namespace anyon {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void copy_bytes(void* to, const TensorView& from) {
  if (const int64_t bytes = from.bytes(); bytes > 0) std::memcpy(to, from.data, static_cast<size_t>(bytes));
}

}  // namespace

NativeSession::NativeSession(std::shared_ptr<const Bundle> bundle, const std::string& program,
                             std::shared_ptr<ThreadPool> pool, Isa isa)
    : program_(parse_program(std::move(bundle), program)), pool_(std::move(pool)), isa_(isa), states_(program_) {
  if (!pool_) throw Error(Status::kInvalidArgument, program_.where + ": a session needs a thread pool");
  const std::vector<Isa> supported = supported_isas();
  if (std::find(supported.begin(), supported.end(), isa) == supported.end()) parse_isa(name(isa));  // throws
  try_plan();
  plans_.reserve(kMaxPlans);
}

// Ops that do not fit together are found at load, not at the first run. A program may well refuse its smallest
// dimensions together (a signal shorter than a kernel), so the largest are tried before it is called wrong.
void NativeSession::try_plan() const {
  try {
    make_plan(program_, extreme_input_shapes(program_, false), isa_, pool_->size());
  } catch (const Error&) {
    const std::exception_ptr first = std::current_exception();
    try {
      make_plan(program_, extreme_input_shapes(program_, true), isa_, pool_->size());
    } catch (const Error&) {
      std::rethrow_exception(first);
    }
  }
}

void NativeSession::run(std::span<const TensorView> inputs, std::span<TensorView> outputs) {
  check_not_poisoned("run");
  poisoned_ = true;
  try {
    check_inputs(inputs);
    if (outputs.size() != program_.outputs.size()) {
      throw Error(Status::kInvalidArgument, program_.where + ": run: room for " + std::to_string(outputs.size()) +
                                                " outputs, the program has " + std::to_string(program_.outputs.size()));
    }
    CachedPlan& cached = plan_for(inputs);
    const Plan& plan = cached.plan;
    states_.prepare(plan.batch, plan.positions);
    grow_arena(plan.arena_bytes);
    const bool make_held = refresh_held(plan, inputs);
    point_values(cached, inputs);
    if (make_held) {
      run_steps(plan, plan.held_steps);
      keep_held_shapes(inputs);
    }
    run_steps(plan, plan.steps);
    give_outputs(plan, outputs);
    update_states(plan);
  } catch (const std::bad_alloc&) {
    throw Error(Status::kOutOfMemory, program_.where + ": run: out of memory; use a smaller batch");
  }
  poisoned_ = false;
}

void NativeSession::check_not_poisoned(const char* what) const {
  if (poisoned_) {
    throw Error(Status::kPoisoned, program_.where + ": " + what +
                                       ": an earlier run failed, so the states are not to be trusted; call "
                                       "reset_states() first");
  }
}

void NativeSession::check_inputs(std::span<const TensorView> inputs) const {
  if (inputs.size() != program_.inputs.size()) {
    throw Error(Status::kInvalidArgument, program_.where + ": run: " + std::to_string(inputs.size()) +
                                              " inputs given, the program has " +
                                              std::to_string(program_.inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    const auto fail = [&](const std::string& problem) {
      throw Error(Status::kInvalidArgument,
                  program_.where + ": input '" + program_.input_infos[i].name + "' " + problem);
    };
    if (input.dtype != program_.inputs[i].dtype) {
      fail(std::string("is ") + dtype_text(input.dtype) + ", needs " + dtype_text(program_.inputs[i].dtype));
    }
    if (input.data == nullptr &&
        std::find(input.shape.dims().begin(), input.shape.dims().end(), 0) == input.shape.dims().end()) {
      fail("has no data");
    }
    const auto* data = static_cast<const std::byte*>(input.data);
    if (data != nullptr && data >= arena_.data() && data < arena_.data() + arena_.size()) {
      fail("is an output of this very session, which this run would overwrite; copy it first");
    }
  }
}

NativeSession::CachedPlan& NativeSession::plan_for(std::span<const TensorView> inputs) {
  const auto matches = [&](const CachedPlan& cached) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!(cached.plan.input_shapes[i] == inputs[i].shape)) return false;
    }
    return true;
  };
  ++clock_;
  if (current_ == nullptr || !matches(*current_)) {
    const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& cached) { return matches(*cached); });
    if (found != plans_.end()) {
      current_ = found->get();
    } else {
      std::vector<Shape> shapes;
      for (const TensorView& input : inputs) shapes.push_back(input.shape);
      auto made = std::make_unique<CachedPlan>();
      made->plan = make_plan(program_, shapes, isa_, pool_->size());
      if (plans_.size() < kMaxPlans) {
        plans_.push_back(std::move(made));
        current_ = plans_.back().get();
      } else {
        auto& oldest = *std::min_element(plans_.begin(), plans_.end(),
                                         [](const auto& a, const auto& b) { return a->last_used < b->last_used; });
        oldest = std::move(made);
        current_ = oldest.get();
      }
    }
  }
  current_->last_used = clock_;
  return *current_;
}

void NativeSession::grow_arena(int64_t bytes) {
  if (bytes <= arena_.size()) return;
  // A little more than asked for, so that a dimension that creeps up does not allocate every time.
  ++arena_generation_;
  arena_ = Arena();
  arena_ = Arena(bytes + bytes / 8);
}

// Whether the values made from held inputs are missing; then there is room for them afterwards.
bool NativeSession::refresh_held(const Plan& plan, std::span<const TensorView> inputs) {
  if (plan.held_steps.empty()) return false;
  size_t known = 0;
  bool same = !held_shapes_.empty();
  for (size_t i = 0; i < inputs.size() && same; ++i) {
    if (program_.inputs[i].held) same = held_shapes_[known++] == inputs[i].shape;
  }
  if (same) return false;
  held_shapes_.clear();
  if (plan.held_bytes > held_.size()) {
    held_ = Arena();
    held_ = Arena(plan.held_bytes);
    ++arena_generation_;
  }
  return true;
}

void NativeSession::keep_held_shapes(std::span<const TensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (program_.inputs[i].held) held_shapes_.push_back(inputs[i].shape);
  }
}

void NativeSession::point_values(CachedPlan& cached, std::span<const TensorView> inputs) {
  std::vector<TensorView>& values = cached.plan.values;
  if (cached.arena_generation != arena_generation_) {
    for (const ArenaPlace& place : cached.plan.places) {
      values[static_cast<size_t>(place.value)].data = arena_.at(place.offset);
    }
    for (const ArenaPlace& place : cached.plan.held_places) {
      values[static_cast<size_t>(place.value)].data = held_.at(place.offset);
    }
    cached.arena_generation = arena_generation_;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    values[static_cast<size_t>(program_.inputs[i].value)].data = inputs[i].data;
  }
  for (size_t i = 0; i < program_.states.size(); ++i) {
    const ProgramState& state = program_.states[i];
    if (state.kind == StateKind::kReplace) values[static_cast<size_t>(state.value)].data = states_.value(i);
  }
  for (const MovingView& view : cached.plan.views) {
    values[static_cast<size_t>(view.value)].data = values[static_cast<size_t>(view.root)].data;
  }
}

void NativeSession::run_steps(const Plan& plan, std::span<const PlanStep> steps) {
  profiling_ ? run_steps<true>(plan, steps) : run_steps<false>(plan, steps);
}

template <bool kProfile>
void NativeSession::run_steps(const Plan& plan, std::span<const PlanStep> steps) {
  RunContext context(plan.values, states_.append_states(), isa_, *pool_);
  int64_t begin = kProfile ? now_ns() : 0;
  for (const PlanStep& step : steps) {
    context.select(step.op->inputs, step.op->outputs, arena_.at(step.workspace));
    try {
      step.op->op->run(context);
    } catch (const Error& error) {
      throw Error(error.status(), program_.where + ": op " + std::to_string(step.op->index) + " (" +
                                      step.op->row->name + (step.op->name.empty() ? "" : " '" + step.op->name + "'") +
                                      "): " + error.what());
    }
    if (kProfile) {
      const int64_t end = now_ns();
      events_.push_back({step.op->index, begin, end});
      begin = end;
    }
  }
}

void NativeSession::give_outputs(const Plan& plan, std::span<TensorView> outputs) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = plan.values[static_cast<size_t>(program_.outputs[i].value)];
  }
  for (const OutputCopy& copy : plan.copies) {
    TensorView& output = outputs[static_cast<size_t>(copy.output)];
    copy_bytes(arena_.at(copy.offset), output);
    output.data = arena_.at(copy.offset);
  }
}

void NativeSession::update_states(const Plan& plan) {
  for (size_t i = 0; i < program_.states.size(); ++i) {
    const ProgramState& state = program_.states[i];
    if (state.kind == StateKind::kReplace) {
      copy_bytes(states_.next_value(i), plan.values[static_cast<size_t>(state.update)]);
    }
  }
  states_.commit(plan.positions);
}

void NativeSession::reset_states() {
  held_shapes_.clear();
  states_.reset();
  poisoned_ = false;
}

void NativeSession::reorder_states(std::span<const int64_t> rows) {
  check_not_poisoned("reorder_states");
  states_.reorder(rows);
}

void NativeSession::truncate_states(int64_t length) {
  check_not_poisoned("truncate_states");
  states_.truncate(length);
}

Placement NativeSession::placement() const {
  Placement placement;
  placement.program = program_.name;
  placement.backend = "native";
  placement.device = "cpu";
  placement.isa = name(isa_);
  placement.ops = static_cast<int64_t>(program_.ops.size());
  placement.arena_bytes = arena_.size() + held_.size();
  placement.state_bytes = states_.bytes();
  placement.reason = isa_ == best_isa() ? "every op has a kernel; the fastest instruction set here"
                                        : "every op has a kernel; the instruction set was asked for";
  std::array<int64_t, 256> bytes{};
  for (const Value& value : program_.values) {
    if (value.kind != ValueKind::kWeight) continue;
    bytes[static_cast<size_t>(value.weight.dtype)] += value.weight.bytes();
    placement.weight_bytes += value.weight.bytes();
  }
  const auto most = std::max_element(bytes.begin(), bytes.end());
  placement.precision = *most == 0 ? "f32" : dtype_text(static_cast<DType>(most - bytes.begin()));
  return placement;
}

std::unique_ptr<Session> make_native_session(std::shared_ptr<const Bundle> bundle, const std::string& program,
                                             std::shared_ptr<ThreadPool> pool, Isa isa) {
  if (bundle) bundle->check_not_cut();
#ifndef ANYON_WITHOUT_GRAPH
  if (bundle && graph::is_graph_program(*bundle, program)) {
    return std::make_unique<graph::GraphSession>(std::move(bundle), program, std::move(pool), isa);
  }
#endif
  return std::make_unique<NativeSession>(std::move(bundle), program, std::move(pool), isa);
}

}  // namespace anyon
