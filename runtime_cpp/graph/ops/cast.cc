// Ops that turn elements into another type.
#include <cstring>

#include "graph/map.h"
#include "graph/small_types.h"

namespace anyon::graph {
namespace {

Tensor as_small_float(Run& run, const Tensor& x, const ValueType& type) {
  const bool saturate = run.attributes().flag("saturate", true);
  const std::string name = run.attributes().text("round_mode", "up");
  const RoundMode mode = name == "down" ? RoundMode::kDown : name == "nearest" ? RoundMode::kNearest : RoundMode::kUp;
  const Tensor from = run.convert(x, DType::kF32), y = run.scratch(DType::kF32, x.shape);
  map_elements(run.pool(), from.as<const float>(), y.as<float>(), x.elements(),
               [&type, saturate, mode](float value) { return round_to(type, value, saturate, mode); });
  return y;
}

Tensor as_small_integer(Run& run, const Tensor& x, const ValueType& type) {
  const Tensor from = run.convert(x, DType::kI64), y = run.scratch(DType::kI64, x.shape);
  map_elements(run.pool(), from.as<const int64_t>(), y.as<int64_t>(), x.elements(),
               [&type](int64_t value) { return wrap_to(type, value); });
  return run.convert(y, type.storage);
}

void cast(Run& run) {
  const std::string to = run.attributes().text("to", "");
  const std::optional<ValueType> type = value_type_from_text(to);
  if (!type) run.unsupported({"a cast to '", to, "'"});
  const Tensor& x = run.input(0);
  if (type->mantissa_bits >= 0) return run.give(0, as_small_float(run, x, *type));
  if (type->integer_bits != 0) return run.give(0, as_small_integer(run, x, *type));
  run.give(0, x, type->storage);
}

void cast_like(Run& run) {
  run.give(0, run.input(0), run.input(1).dtype);
}

void bit_cast(Run& run) {
  const std::string to = run.attributes().text("to", "");
  const std::optional<ValueType> type = value_type_from_text(to);
  if (!type || type->mantissa_bits >= 0 || type->integer_bits != 0) run.unsupported({"a bit cast to '", to, "'"});
  Tensor y = run.input(0);
  if (size_of(y.dtype) != size_of(type->storage)) run.fail({"the two types differ in size"});
  y.dtype = type->storage;
  run.give(0, y);
}

constexpr OpRow kRows[] = {
    {"BitCast", 26, 1, 1, 1, bit_cast, "to"},
    {"Cast", 6, 1, 1, 1, cast, "to saturate round_mode"},
    {"CastLike", 15, 2, 2, 1, cast_like, "saturate round_mode"},
};

}  // namespace

extern const std::span<const OpRow> cast_ops;
constinit const std::span<const OpRow> cast_ops = kRows;

}  // namespace anyon::graph
