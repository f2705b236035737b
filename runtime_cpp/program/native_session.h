// The native backend: a program run by our own kernels over one arena.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "core/arena.h"
#include "core/isa.h"
#include "core/limits.h"
#include "core/threads.h"
#include "program/placement.h"
#include "program/plan.h"
#include "program/session.h"
#include "program/slot.h"

namespace anyon {

// When one op ran: nanoseconds of std::chrono::steady_clock.
struct OpEvent {
  int op = 0;  // index into program().ops
  int64_t begin_ns = 0, end_ns = 0;
};

// A run whose input shapes were seen lately takes no lock and allocates nothing, whatever the states hold. New shapes
// cost a plan (shape inference and placement) and, when they need a larger arena, an allocation.
class NativeSession final : public Session {
 public:
  // Throws Error as parse_program() and make_plan() do.
  NativeSession(std::shared_ptr<const Bundle> bundle, const std::string& program, std::shared_ptr<ThreadPool> pool,
                Isa isa);

  const std::vector<ValueInfo>& inputs() const override { return program_.input_infos; }
  const std::vector<ValueInfo>& outputs() const override { return program_.output_infos; }
  void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) override;
  void reset_states() override;
  void reorder_states(std::span<const int64_t> rows) override;
  void truncate_states(int64_t length) override;
  int64_t state_length() const override { return only_slot("state_length").states.length(); }
  int64_t max_slots() const override { return program_.has_slots ? kMaxSlots : 1; }
  void set_slots(int64_t count) override;
  void select_slots(std::span<const int64_t> slots) override;

  Placement placement() const;
  const Program& program() const { return program_; }

  // While on, every op of every run leaves an event; events are kept until cleared.
  void set_profiling(bool on) { profiling_ = on; }
  std::span<const OpEvent> events() const { return events_; }
  void clear_events() { events_.clear(); }

 private:
  static constexpr size_t kMaxPlans = 32;  // several slots finish one after the other: a batch of each size
  static constexpr int64_t kMaxSlots = limits::kRows;

  struct CachedPlan {
    Plan plan;
    int64_t arena_generation = -1;  // of the arena its pointers were made for
    uint64_t last_used = 0;
  };

  void check_not_poisoned(const char* what) const;
  void check_inputs(std::span<const TensorView> inputs) const;
  CachedPlan& plan_for(std::span<const TensorView> inputs);
  void try_plan() const;
  void grow_arena(int64_t bytes);
  void point_values(CachedPlan& cached, std::span<const TensorView> inputs);
  Slot& only_slot(const char* what) const;
  void prepare_slots(const Plan& plan, std::span<const TensorView> inputs);
  void give_held_room(const Plan& plan);
  void run_steps(Plan& plan, std::span<const PlanStep> steps);
  template <bool kProfile>
  void run_steps(Plan& plan, std::span<const PlanStep> steps);
  void run_step(const Plan& plan, const PlanStep& step, const Slot& slot);
  void run_by_slot(Plan& plan, const PlanStep& step);
  void update_states(const Plan& plan);
  void give_outputs(const Plan& plan, std::span<TensorView> outputs) const;

  Program program_;
  const std::shared_ptr<ThreadPool> pool_;
  const Isa isa_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> selected_;
  std::vector<std::unique_ptr<CachedPlan>> plans_;
  CachedPlan* current_ = nullptr;
  uint64_t clock_ = 0;
  Arena arena_;
  int64_t arena_generation_ = 0;
  bool poisoned_ = false;
  bool profiling_ = false;
  std::vector<TensorView> whole_;  // while slots take turns: the op's values with all rows
  std::vector<OpEvent> events_;
};

// `program` of the bundle on the native backend, with states of its own. The bundle and the pool may be shared by any
// number of sessions.
std::unique_ptr<Session> make_native_session(std::shared_ptr<const Bundle> bundle, const std::string& program,
                                             std::shared_ptr<ThreadPool> pool, Isa isa);

}  // namespace anyon
