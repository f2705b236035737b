// What loops see of a backend: one program loaded on one engine, with its own states.
// Thread rule: a session belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace anyon {

struct ValueInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::string> dims;  // "batch", "time" or a decimal number, as the manifest declares them
};

class Session {
 public:
  virtual ~Session() = default;

  // Inputs and outputs in manifest order, declared states left out.
  virtual const std::vector<ValueInfo>& inputs() const = 0;
  virtual const std::vector<ValueInfo>& outputs() const = 0;

  // Runs the program once. `inputs` follows inputs(), `outputs` has outputs().size() elements and is filled
  // with views that stay valid until the next run, reset_states or destruction of this session.
  // An input whose manifest entry says "broadcast" may have batch 1 (or a divisor of the batch) instead of the batch.
  // Throws Error; after an error every run throws Status::kPoisoned until reset_states().
  virtual void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) = 0;

  // Inputs that the manifest calls "held" keep shape and content from the first run after a reset until the next reset;
  // what follows from them alone is computed once.

  // Forgets the states (length 0), what was computed from held inputs, and any poisoning.
  virtual void reset_states() = 0;
  // Row b of every state becomes what row rows[b] was; the batch becomes rows.size(). Used by beam search.
  virtual void reorder_states(std::span<const int64_t> rows) = 0;
  // Keeps the first `length` positions of every growing state. Used to go back to a prompt.
  virtual void truncate_states(int64_t length) = 0;
  // Positions held by the growing states.
  virtual int64_t state_length() const = 0;

  // Slots: separate sets of states and held or broadcast inputs, so that one run serves several signals, each with a
  // length of its own, and reads the weights once. Slot 0 is all there is until set_slots().
  // Everything above is about the selected slots; reorder_states and state_length need exactly one.
  // - The first run of a slot after a reset is a run of that slot alone. The session keeps what it needs of the held
  //   and broadcast inputs (batch 1) then; later runs look at their shapes alone.
  // - A run of several slots has the rows of the first selected slot, then those of the second, and so on.

  // How many slots the engine can keep; 1: it has no slots.
  virtual int64_t max_slots() const { return 1; }
  // Keeps `count` slots, all of them empty, and selects slot 0. Slots above are forgotten with their memory.
  virtual void set_slots(int64_t count);
  virtual void select_slots(std::span<const int64_t> slots);
};

// Defaults of an engine without slots.
inline void Session::set_slots(int64_t count) {
  if (count != 1) throw_error(Status::kUnsupportedOption, {"session: this backend decodes one signal at a time"});
}

inline void Session::select_slots(std::span<const int64_t> slots) {
  if (slots.size() != 1 || slots[0] != 0) set_slots(0);
}

}  // namespace anyon
