// Memory and bookkeeping of states.
#include "program/state_store.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "core/status.h"

namespace anyon {

StateStore::StateStore(const Program& program)
    : program_(program),
      row_bytes_(program.states.size()),
      append_(program.states.size()),
      current_(program.states.size()),
      next_(program.states.size()) {
  for (size_t i = 0; i < program.states.size(); ++i) {
    const ProgramState& state = program.states[i];
    AppendState& append = append_[i];
    append.outer = append.inner = 1;
    append.capacity = state.kind == StateKind::kAppend ? state.capacity : 1;
    bool fits = true;
    for (int axis = 1; axis < static_cast<int>(state.dims.size()); ++axis) {
      if (state.kind == StateKind::kAppend && axis == state.axis) continue;
      int64_t& side = axis < state.axis ? append.outer : append.inner;
      fits = fits && checked_mul(side, state.dims[static_cast<size_t>(axis)].size, &side);
    }
    fits = fits && checked_bytes({append.outer, append.capacity, append.inner}, state.dtype, &row_bytes_[i]);
    if (!fits) {
      throw_error(Status::kBadProgram, {program.where, ": state '", state.name, "' is too large to address"});
    }
  }
}

int64_t StateStore::bytes() const {
  int64_t total = 0;
  for (const Arena& arena : current_) total += arena.size();
  for (const Arena& arena : next_) total += arena.size();
  return total;
}

// Grows the memory of every state to `rows` rows and keeps what lies there.
void StateStore::reserve(int64_t rows) {
  if (rows <= row_capacity_) return;
  const auto count = static_cast<size_t>(rows);
  rows_.reserve(count);
  new_rows_.reserve(count);
  taken_.resize(count);
  for (size_t i = 0; i < program_.states.size(); ++i) {
    int64_t bytes = 0;
    if (!checked_mul(row_bytes_[i], rows, &bytes)) {
      throw_error(Status::kOutOfMemory, {program_.where, ": state '", program_.states[i].name, "' of batch ", rows,
                                         " is too large; use a smaller batch"});
    }
    Arena grown(bytes, program_.bundle->allocator());
    if (program_.states[i].kind == StateKind::kAppend) {
      for (const int32_t row : rows_) {
        copy_positions(i, current_[i].at(row * row_bytes_[i]), grown.at(row * row_bytes_[i]));
      }
    } else if (batch_ > 0 && row_bytes_[i] > 0) {
      std::memcpy(grown.data(), current_[i].data(), static_cast<size_t>(batch_ * row_bytes_[i]));
    }
    current_[i] = std::move(grown);
    if (program_.states[i].kind == StateKind::kReplace) next_[i] = Arena(bytes, program_.bundle->allocator());
    append_[i].data = current_[i].data();
  }
  row_capacity_ = rows;
}

void StateStore::prepare(int64_t batch, int64_t positions) {
  if (empty()) return;
  if (batch_ != 0 && batch != batch_) {
    throw_error(Status::kInvalidArgument, {program_.where, ": the batch is ", batch, ", but the states hold ", batch_,
                                           " rows; reorder_states() changes that, reset_states() forgets them"});
  }
  for (const ProgramState& state : program_.states) {
    if (state.kind == StateKind::kAppend && positions > state.capacity - length_) {
      throw_error(Status::kInvalidArgument,
                  {program_.where, ": ", length_, " positions kept and ", positions, " new ones do not fit state '",
                   state.name, "', which holds ", state.capacity, "; truncate or reset the states"});
    }
  }
  if (batch_ == 0 && batch > 0) {
    rows_.clear();
    reserve(batch);
    for (int64_t b = 0; b < batch; ++b) rows_.push_back(static_cast<int32_t>(b));
    for (size_t i = 0; i < program_.states.size(); ++i) {
      if (program_.states[i].kind == StateKind::kReplace && row_bytes_[i] > 0) {
        std::memset(current_[i].data(), 0, static_cast<size_t>(batch * row_bytes_[i]));
      }
    }
    batch_ = batch;
    publish_rows();
  }
  for (AppendState& state : append_) state.past = length_;
}

void StateStore::commit(int64_t positions) {
  length_ += positions;
  for (size_t i = 0; i < program_.states.size(); ++i) {
    if (program_.states[i].kind == StateKind::kReplace) std::swap(current_[i], next_[i]);
  }
}

void StateStore::reset() {
  batch_ = 0;
  length_ = 0;
  rows_.clear();
}

void StateStore::truncate(int64_t length) {
  if (length < 0 || length > length_) {
    throw_error(Status::kInvalidArgument,
                {program_.where, ": truncate_states(", length, ") with ", length_, " positions kept"});
  }
  if (length == length_) return;
  for (const ProgramState& state : program_.states) {
    if (state.kind == StateKind::kReplace) {
      throw_error(Status::kUnsupportedOption, {program_.where, ": truncate_states: state '", state.name,
                                               "' keeps no positions to go back to; reset the states"});
    }
  }
  length_ = length;
}

void StateStore::reorder(std::span<const int64_t> rows) {
  if (empty()) return;
  for (const int64_t row : rows) {
    if (row < 0 || row >= batch_) {
      throw_error(Status::kInvalidArgument,
                  {program_.where, ": reorder_states: row ", row, " does not exist, the states hold ", batch_});
    }
  }
  const auto count = static_cast<int64_t>(rows.size());
  if (count == 0) {
    throw_error(Status::kInvalidArgument, {program_.where, ": reorder_states: no rows; reset_states() forgets them"});
  }
  reserve(count);
  // The first to ask for a row gets it where it lies.
  std::fill(taken_.begin(), taken_.end(), uint8_t{0});
  new_rows_.assign(rows.size(), -1);
  for (size_t b = 0; b < rows.size(); ++b) {
    const int32_t place = rows_[static_cast<size_t>(rows[b])];
    if (taken_[static_cast<size_t>(place)] == 0) {
      taken_[static_cast<size_t>(place)] = 1;
      new_rows_[b] = place;
    }
  }
  // The others get copies in places that nobody asked for.
  size_t free_place = 0;
  for (size_t b = 0; b < rows.size(); ++b) {
    if (new_rows_[b] >= 0) continue;
    while (taken_[free_place] != 0) ++free_place;
    taken_[free_place] = 1;
    new_rows_[b] = static_cast<int32_t>(free_place);
    const int32_t from = rows_[static_cast<size_t>(rows[b])];
    for (size_t i = 0; i < program_.states.size(); ++i) {
      if (program_.states[i].kind != StateKind::kAppend) continue;
      copy_positions(i, current_[i].at(from * row_bytes_[i]), current_[i].at(new_rows_[b] * row_bytes_[i]));
    }
  }
  std::swap(rows_, new_rows_);
  batch_ = count;
  // States that ops read as a whole always lie in order.
  for (size_t i = 0; i < program_.states.size(); ++i) {
    if (program_.states[i].kind != StateKind::kReplace) continue;
    for (int64_t b = 0; b < count && row_bytes_[i] > 0; ++b) {
      std::memcpy(next_[i].at(b * row_bytes_[i]), current_[i].at(rows[static_cast<size_t>(b)] * row_bytes_[i]),
                  static_cast<size_t>(row_bytes_[i]));
    }
    std::swap(current_[i], next_[i]);
  }
  publish_rows();
}

// Copies what one row of a growing state holds.
void StateStore::copy_positions(size_t state, const std::byte* from, std::byte* to) const {
  const AppendState& shape = append_[state];
  const int64_t position = shape.inner * size_of(program_.states[state].dtype);
  if (length_ * position == 0) return;
  for (int64_t outer = 0; outer < shape.outer; ++outer) {
    const int64_t offset = outer * shape.capacity * position;
    std::memcpy(to + offset, from + offset, static_cast<size_t>(length_ * position));
  }
}

// Ops see no row table while every row lies at its own place.
void StateStore::publish_rows() {
  bool in_order = true;
  for (size_t b = 0; b < rows_.size(); ++b) in_order = in_order && rows_[b] == static_cast<int32_t>(b);
  for (AppendState& state : append_) {
    state.batch = batch_;
    state.rows = in_order ? nullptr : rows_.data();
  }
}

}  // namespace anyon
