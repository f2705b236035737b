// Between floats and few integers, with one scale for everything, for each slice of an axis, or for each block of one.
#include <cmath>

#include "graph/map.h"
#include "graph/small_types.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// Which element of the scale belongs to an element of x.
struct Scales {
  enum class Kind { kOne, kAxis, kBlocks } kind = Kind::kOne;
  AxisView view{{1}, 0};
  int64_t block = 1, blocks = 1;

  Scales(const Run& run, const Shape& x, const Shape& scale) {
    if (scale.elements() == 1 && scale.rank() < 2) return;
    const int axis = axis_of(run, run.attributes().integer("axis", 1), x.rank());
    view = AxisView(x, axis);
    if (scale.rank() == 1) {
      kind = Kind::kAxis;
      if (scale[0] != view.size) run.fail({"its scale has another length than the axis"});
      return;
    }
    kind = Kind::kBlocks;
    blocks = scale.rank() == x.rank() ? scale[axis] : 0;
    block = run.attributes().integer("block_size", 0);
    Shape same = scale;
    if (blocks > 0) same[axis] = x[axis];
    if (block == 0 && blocks > 0) block = (view.size + blocks - 1) / blocks;
    if (!(same == x) || block < 1 || (view.size + block - 1) / block != blocks)
      run.fail({"its scale does not fit its input"});
  }

  int64_t of(int64_t at) const {
    if (kind == Kind::kOne) return 0;
    const int64_t place = at / view.inner % view.size;
    if (kind == Kind::kAxis) return place;
    return (at / view.inner / view.size * blocks + place / block) * view.inner + at % view.inner;
  }
};

Tensor zero_point(Run& run, const Tensor& scale) {
  const Tensor zero = run.input_as(2, DType::kF32);
  if (zero.elements() != scale.elements()) run.fail({"its zero point has another shape than its scale"});
  return zero;
}

void quantize(Run& run) {
  const Tensor x = run.input_as(0, DType::kF32), scale = run.input_as(1, DType::kF32);
  const Tensor zero = run.has(2) ? zero_point(run, scale) : Tensor();
  const std::string name = run.attributes().text("output_dtype", "");
  ValueType type;
  type.storage = run.has(2) ? run.input(2).dtype : DType::kU8;
  if (!name.empty()) {
    const std::optional<ValueType> named = value_type_from_text(name);
    if (!named) run.unsupported({"the type '", name, "'"});
    type = *named;
  }
  const Scales scales(run, x.shape, scale.shape);
  const bool saturate = run.attributes().flag("saturate", true);
  const auto least = static_cast<double>(least_of(type)), most = static_cast<double>(greatest_of(type));
  const Tensor y = run.scratch(DType::kF32, x.shape);
  for (int64_t at = 0; at < x.elements(); ++at) {
    const int64_t which = scales.of(at);
    const float ratio = x.as<const float>()[at] / scale.as<const float>()[which];
    const float added = zero.defined ? zero.as<const float>()[which] : 0.0f;
    y.as<float>()[at] = type.mantissa_bits >= 0
                            ? round_to(type, ratio + added, saturate)
                            : static_cast<float>(std::clamp<double>(std::nearbyint(ratio) + added, least, most));
  }
  run.give(0, y, type.storage);
}

void dequantize(Run& run) {
  const Tensor x = run.input_as(0, DType::kF64), scale = run.input_as(1, DType::kF64);
  const Tensor zero = run.has(2) ? run.convert(zero_point(run, scale), DType::kF64) : Tensor();
  const Scales scales(run, x.shape, scale.shape);
  const std::string name = run.attributes().text("output_dtype", "");
  DType dtype = run.input(1).dtype;
  if (!name.empty()) {
    const std::optional<ValueType> named = value_type_from_text(name);
    if (!named || !is_float(named->storage)) run.unsupported({"the type '", name, "'"});
    dtype = named->storage;
  }
  const Tensor y = run.scratch(DType::kF32, x.shape);
  for (int64_t at = 0; at < x.elements(); ++at) {
    const int64_t which = scales.of(at);
    const double shifted = x.as<const double>()[at] - (zero.defined ? zero.as<const double>()[which] : 0.0);
    y.as<float>()[at] = static_cast<float>(shifted * scale.as<const double>()[which]);
  }
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"DequantizeLinear", 10, 2, 3, 1, dequantize, "axis block_size output_dtype"},
    {"QuantizeLinear", 10, 2, 3, 1, quantize, "axis block_size output_dtype precision saturate"},
};

}  // namespace

extern const std::span<const OpRow> quantization_ops;
constinit const std::span<const OpRow> quantization_ops = kRows;

}  // namespace anyon::graph
