// The states of one session: memory that outlives runs, grown in place, reordered without copying more than it must.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "program/program.h"

namespace anyon {

// Growing states keep (rows, outer, capacity, inner). Row b of the batch lies at row rows_[b] of that memory: a reorder
// moves names, and copies only rows that were asked for more than once. Other states lie in order. Memory is allocated
// when the batch first reaches a size and kept until destruction.
class StateStore {
 public:
  // Throws Error(kBadProgram) when a state's size is beyond addressing.
  explicit StateStore(const Program& program);

  int64_t length() const { return length_; }
  // Rows kept; 0 before the first run after a reset.
  int64_t batch() const { return batch_; }
  int64_t bytes() const;
  bool empty() const { return program_.states.empty(); }

  // Makes room for a run with `batch` rows that adds `positions`, before anything is touched.
  // Throws Error(kInvalidArgument) when the batch differs from the kept one or the capacity would be passed.
  void prepare(int64_t batch, int64_t positions);
  // What ops append to, one per state of the program; valid after prepare() until the next call that changes states.
  std::span<const AppendState> append_states() const { return append_; }
  // The present value of a kReplace state.
  std::byte* value(size_t state) const { return current_[state].data(); }
  // Where the next value of a kReplace state is written; commit() makes it the present one.
  std::byte* next_value(size_t state) const { return next_[state].data(); }
  // The run succeeded.
  void commit(int64_t positions);

  void reset();
  // Row b becomes what row rows[b] was. Throws Error(kInvalidArgument) for a row that does not exist.
  void reorder(std::span<const int64_t> rows);
  // Throws Error(kInvalidArgument) outside [0, length()], or when a state that does not grow would have to go back.
  void truncate(int64_t length);

 private:
  void reserve(int64_t rows);
  void copy_positions(size_t state, const std::byte* from, std::byte* to) const;
  void publish_rows();

  const Program& program_;
  std::vector<int64_t> row_bytes_;     // by state
  std::vector<AppendState> append_;    // by state; unused for kReplace
  std::vector<Arena> current_, next_;  // by state; next_ only for kReplace
  std::vector<int32_t> rows_;          // where each row of the batch lies in growing states
  std::vector<int32_t> new_rows_;      // scratch of reorder()
  std::vector<uint8_t> taken_;         // scratch of reorder(), by place
  int64_t row_capacity_ = 0;
  int64_t batch_ = 0;  // 0 until the first run after a reset
  int64_t length_ = 0;
};

}  // namespace anyon
