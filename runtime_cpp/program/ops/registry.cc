// The table behind find_op: the rows of ops.inc.
#include <algorithm>
#include <array>
#include <string_view>

#include "program/op.h"

namespace anyon {

#define ANYON_OP(row) extern const OpRow op_##row;
#include "program/ops/ops.inc"
#undef ANYON_OP

namespace {

constexpr auto kRows = std::to_array<const OpRow*>({
#define ANYON_OP(row) &op_##row,
#include "program/ops/ops.inc"
#undef ANYON_OP
});

}  // namespace

const OpRow* find_op(std::string_view name) {
  const auto found = std::find_if(kRows.begin(), kRows.end(), [name](const OpRow* row) { return row->name == name; });
  return found == kRows.end() ? nullptr : *found;
}

std::span<const OpRow* const> all_ops() {
  return kRows;
}

}  // namespace anyon
