// The executor: check the inputs, find the plan, point values at memory, run the steps, keep the states.
#include "program/native_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "core/status.h"
#include "graph/graph_session.h"
#include "program/describe.h"
#include "program/fuse.h"

namespace anyon {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void copy_bytes(void* to, const TensorView& from) {
  if (const int64_t bytes = from.bytes(); bytes > 0) std::memcpy(to, from.data, static_cast<size_t>(bytes));
}

Program fused(Program program) {
  fuse_ops(program);
  return program;
}

}  // namespace

NativeSession::NativeSession(std::shared_ptr<const Bundle> bundle, const std::string& program,
                             std::shared_ptr<ThreadPool> pool, Isa isa)
    : program_(fused(parse_program(std::move(bundle), program))), pool_(std::move(pool)), isa_(isa) {
  if (!pool_) throw_error(Status::kInvalidArgument, {program_.where, ": a session needs a thread pool"});
  const std::vector<Isa> supported = supported_isas();
  if (std::find(supported.begin(), supported.end(), isa) == supported.end()) parse_isa(name(isa));  // throws
  set_slots(1);
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
      throw_error(Status::kInvalidArgument, {program_.where, ": run: room for ", outputs.size(),
                                             " outputs, the program has ", program_.outputs.size()});
    }
    CachedPlan& cached = plan_for(inputs);
    Plan& plan = cached.plan;
    prepare_slots(plan, inputs);
    grow_arena(plan.arena_bytes);
    Slot& first = *selected_.front();
    const bool fresh = !first.has(program_, inputs);
    if (fresh) {
      first.shapes.clear();
      give_held_room(plan);
      if (slots_.size() > 1) first.copy_inputs(program_, inputs);
    }
    point_values(cached, inputs);
    if (fresh) {
      run_steps(plan, plan.held_steps);
      first.remember_shapes(program_, inputs);
    }
    run_steps(plan, plan.steps);
    give_outputs(plan, outputs);
    update_states(plan);
  } catch (const std::bad_alloc&) {
    throw_error(Status::kOutOfMemory, {program_.where, ": run: out of memory; use a smaller batch"});
  }
  poisoned_ = false;
}

void NativeSession::check_not_poisoned(const char* what) const {
  if (poisoned_) {
    throw_error(Status::kPoisoned, {program_.where, ": ", what,
                                    ": an earlier run failed, so the states are not to be trusted; call "
                                    "reset_states() first"});
  }
}

void NativeSession::check_inputs(std::span<const TensorView> inputs) const {
  if (inputs.size() != program_.inputs.size()) {
    throw_error(Status::kInvalidArgument,
                {program_.where, ": run: ", inputs.size(), " inputs given, the program has ", program_.inputs.size()});
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    const auto fail = [&](Parts problem) {
      throw_error(Status::kInvalidArgument, {program_.where, ": input '", program_.input_infos[i].name, "' ", problem});
    };
    if (input.dtype != program_.inputs[i].dtype) {
      fail({"is ", dtype_text(input.dtype), ", needs ", dtype_text(program_.inputs[i].dtype)});
    }
    if (input.data == nullptr &&
        std::find(input.shape.dims().begin(), input.shape.dims().end(), 0) == input.shape.dims().end()) {
      fail({"has no data"});
    }
    const auto* data = static_cast<const std::byte*>(input.data);
    if (data != nullptr && data >= arena_.data() && data < arena_.data() + arena_.size()) {
      fail({"is an output of this very session, which this run would overwrite; copy it first"});
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
  arena_ = Arena(bytes + bytes / 8, program_.bundle->allocator());
}

// Room for what is made of held inputs, in the slot that runs alone.
void NativeSession::give_held_room(const Plan& plan) {
  Arena& held = selected_.front()->held;
  if (plan.held_bytes <= held.size()) return;
  held = Arena();
  held = Arena(plan.held_bytes, program_.bundle->allocator());
}

Slot& NativeSession::only_slot(const char* what) const {
  if (selected_.size() != 1) {
    throw_error(Status::kInvalidArgument,
                {program_.where, ": ", what, ": ", selected_.size(), " slots are selected; select one"});
  }
  return *selected_.front();
}

void NativeSession::prepare_slots(const Plan& plan, std::span<const TensorView> inputs) {
  if (selected_.size() == 1) {
    selected_.front()->states.prepare(plan.batch, plan.positions);
    return;
  }
  int64_t rows = 0;
  for (Slot* slot : selected_) {
    if (!slot->has(program_, inputs) || slot->states.batch() == 0) {
      throw_error(Status::kInvalidArgument,
                  {program_.where, ": run: a slot has no inputs of these shapes; its first run must be its own"});
    }
    rows += slot->states.batch();
    slot->states.prepare(slot->states.batch(), plan.positions);
  }
  if (rows != plan.batch) {
    throw_error(Status::kInvalidArgument,
                {program_.where, ": run: the batch is ", plan.batch, ", but the selected slots hold ", rows, " rows"});
  }
}

void NativeSession::point_values(CachedPlan& cached, std::span<const TensorView> inputs) {
  std::vector<TensorView>& values = cached.plan.values;
  if (cached.arena_generation != arena_generation_) {
    for (const ArenaPlace& place : cached.plan.places) {
      values[static_cast<size_t>(place.value)].data = arena_.at(place.offset);
    }
    cached.arena_generation = arena_generation_;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    values[static_cast<size_t>(program_.inputs[i].value)].data = inputs[i].data;
  }
  for (size_t i = 0; i < program_.states.size(); ++i) {
    const ProgramState& state = program_.states[i];
    if (state.kind == StateKind::kReplace) {
      values[static_cast<size_t>(state.value)].data = selected_.front()->states.value(i);
    }
  }
  selected_.front()->point(program_, cached.plan, values);
  for (const MovingView& view : cached.plan.views) {
    values[static_cast<size_t>(view.value)].data = values[static_cast<size_t>(view.root)].data;
  }
}

void NativeSession::run_steps(Plan& plan, std::span<const PlanStep> steps) {
  profiling_ ? run_steps<true>(plan, steps) : run_steps<false>(plan, steps);
}

template <bool kProfile>
void NativeSession::run_steps(Plan& plan, std::span<const PlanStep> steps) {
  int64_t begin = kProfile ? now_ns() : 0;
  for (const PlanStep& step : steps) {
    if (selected_.size() > 1 && step.op->by_slot) {
      run_by_slot(plan, step);
    } else {
      run_step(plan, step, *selected_.front());
    }
    if (kProfile) {
      const int64_t end = now_ns();
      events_.push_back({step.op->index, begin, end});
      begin = end;
    }
  }
}

void NativeSession::run_step(const Plan& plan, const PlanStep& step, const Slot& slot) {
  RunContext context(plan.values, slot.states.append_states(), isa_, *pool_);
  context.select(step.op->inputs, step.op->outputs, arena_.at(step.workspace));
  try {
    step.op->op->run(context);
  } catch (const Error& error) {
    throw_error(error.status(), {program_.where, ": op ", step.op->index, " (", step.op->row->name,
                                 (step.op->name.empty() ? "" : " '" + step.op->name + "'"), "): ", error.what()});
  }
}

// Once for each slot, on the rows that are its own. Other ops run on all rows together, which is what slots are for.
void NativeSession::run_by_slot(Plan& plan, const PlanStep& step) {
  const auto each_value = [&](auto&& visit) {
    for (const int value : step.op->inputs) visit(value);
    for (const int value : step.op->outputs) visit(value);
  };
  const auto is_cut = [&](int value) {
    if (value < 0) return false;
    const Value& known = program_.values[static_cast<size_t>(value)];
    return !known.of_slot && known.kind != ValueKind::kWeight;
  };
  whole_.clear();
  each_value([&](int value) { whole_.push_back(value < 0 ? TensorView{} : plan.values[static_cast<size_t>(value)]); });
  for (size_t i = 0; i < whole_.size(); ++i) {
    const int value = i < step.op->inputs.size() ? step.op->inputs[i] : step.op->outputs[i - step.op->inputs.size()];
    if (is_cut(value) && (whole_[i].shape.rank() == 0 || whole_[i].shape[0] != plan.batch)) {
      throw_error(Status::kBadProgram, {program_.where, ": op ", step.op->index, " (", step.op->row->name,
                                        "): slots cannot share it: an input has other rows"});
    }
  }
  const auto give_back_rows = [&] {
    size_t next = 0;
    each_value([&](int value) {
      if (value >= 0) plan.values[static_cast<size_t>(value)] = whole_[next];
      ++next;
    });
  };
  int64_t row = 0;
  for (const Slot* slot : selected_) {
    const int64_t rows = slot->states.batch();
    slot->point(program_, plan, plan.values);
    size_t next = 0;
    each_value([&](int value) {
      const TensorView& all = whole_[next++];
      if (!is_cut(value)) return;
      TensorView& part = plan.values[static_cast<size_t>(value)];
      part.shape[0] = rows;
      part.data = static_cast<std::byte*>(all.data) + row * (all.bytes() / plan.batch);
    });
    try {
      run_step(plan, step, *slot);
    } catch (...) {
      give_back_rows();  // the plan outlives the error
      throw;
    }
    row += rows;
  }
  give_back_rows();
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
      copy_bytes(selected_.front()->states.next_value(i), plan.values[static_cast<size_t>(state.update)]);
    }
  }
  for (Slot* slot : selected_) slot->states.commit(plan.positions);
}

void NativeSession::reset_states() {
  for (Slot* slot : selected_) slot->forget();
  poisoned_ = false;
}

void NativeSession::reorder_states(std::span<const int64_t> rows) {
  check_not_poisoned("reorder_states");
  only_slot("reorder_states").states.reorder(rows);
}

void NativeSession::truncate_states(int64_t length) {
  check_not_poisoned("truncate_states");
  for (Slot* slot : selected_) slot->states.truncate(length);
}

void NativeSession::set_slots(int64_t count) {
  if (count < 1 || count > max_slots()) {
    throw_error(Status::kUnsupportedOption,
                {program_.where, ": set_slots(", count, "): this program has at most ", max_slots()});
  }
  slots_.resize(static_cast<size_t>(count));
  for (std::unique_ptr<Slot>& slot : slots_) {
    if (slot == nullptr) slot = std::make_unique<Slot>(program_);
    slot->forget();
  }
  if (count == 1) slots_[0]->memory = Arena();
  selected_.assign(1, slots_[0].get());
}

void NativeSession::select_slots(std::span<const int64_t> slots) {
  if (slots.empty()) throw_error(Status::kInvalidArgument, {program_.where, ": select_slots: no slot"});
  selected_.clear();
  for (const int64_t slot : slots) {
    Slot* const chosen = slot < 0 || slot >= static_cast<int64_t>(slots_.size()) ? nullptr : slots_[slot].get();
    if (chosen == nullptr || std::find(selected_.begin(), selected_.end(), chosen) != selected_.end()) {
      selected_.assign(1, slots_[0].get());
      throw_error(Status::kInvalidArgument,
                  {program_.where, ": select_slots: slot ", slot, " is named twice or not one of ", slots_.size()});
    }
    selected_.push_back(chosen);
  }
}

Placement NativeSession::placement() const {
  Placement placement;
  placement.program = program_.name;
  placement.backend = "native";
  placement.device = "cpu";
  placement.isa = name(isa_);
  placement.ops = static_cast<int64_t>(program_.ops.size());
  placement.arena_bytes = arena_.size();
  for (const std::unique_ptr<Slot>& slot : slots_) {
    placement.arena_bytes += slot->held.size() + slot->memory.size();
    placement.state_bytes += slot->states.bytes();
  }
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
