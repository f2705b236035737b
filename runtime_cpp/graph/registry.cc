// The table behind find_op: the groups of ops.inc.
#include <array>
#include <string_view>

#include "graph/op.h"

namespace anyon::graph {

#define ANYON_GRAPH_OPS(group) extern const std::span<const OpRow> group##_ops;
#include "graph/ops/ops.inc"
#undef ANYON_GRAPH_OPS

std::span<const std::span<const OpRow>> all_ops() {
  static const auto groups = std::to_array<std::span<const OpRow>>({
#define ANYON_GRAPH_OPS(group) group##_ops,
#include "graph/ops/ops.inc"
#undef ANYON_GRAPH_OPS
  });
  return groups;
}

const OpRow* find_op(std::string_view name) {
  for (const std::span<const OpRow> group : all_ops()) {
    for (const OpRow& row : group) {
      if (row.name == name) return &row;
    }
  }
  return nullptr;
}

}  // namespace anyon::graph
