// Ops that only move elements: transpose, gather, slice, concat; and reshape, which moves nothing.
#include "kernels/layout/layout.h"

#include <cstring>

#include "program/describe.h"
#include "program/op.h"

namespace anyon {
namespace {

// An axis attribute may count from the end, as everywhere.
int axis_within(const InferContext& context, int64_t axis, int rank) {
  const int64_t positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) {
    context.fail({"axis ", axis, " is outside a value of rank ", rank});
  }
  return static_cast<int>(positive);
}

int axis_of(int64_t axis, const Shape& shape) {
  return static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
}

class Transpose : public Op {
 public:
  explicit Transpose(AttrReader& attrs) : perm_(attrs.integers("perm", 0, Shape::kMaxRank - 1, Shape::kMaxRank)) {
    unsigned seen = 0;
    for (const int64_t axis : perm_) seen |= 1u << axis;
    if (seen != (1u << perm_.size()) - 1) attrs.fail({"'perm' is not a permutation"});
  }

  void infer(InferContext& context) const override {
    const Shape& x = context.shape(0);
    if (static_cast<size_t>(x.rank()) != perm_.size()) {
      context.fail({"x ", shape_text(x), " and 'perm' have different ranks"});
    }
    Shape shape = x;
    for (size_t i = 0; i < perm_.size(); ++i) shape[static_cast<int>(i)] = x[static_cast<int>(perm_[i])];
    context.output(0, context.dtype(0), shape);
  }

  void run(const RunContext& context) const override {
    const TensorView& x = context.input(0);
    transpose(x.data, x.shape, perm_, size_of(x.dtype), context.output(0).data, context.pool());
  }

 private:
  const std::vector<int64_t> perm_;
};

// (batch, time, heads * head_dim) -> (batch, heads, time, head_dim)
// Indices outside the axis fail the run.
class Gather : public Op {
 public:
  explicit Gather(AttrReader& attrs) : axis_(attrs.integer("axis", -Shape::kMaxRank, Shape::kMaxRank - 1)) {}

  void infer(InferContext& context) const override {
    context.expect(1, DType::kI64);
    const Shape& x = context.shape(0);
    const Shape& index = context.shape(1);
    const int axis = axis_within(context, axis_, x.rank());
    if (x.rank() - 1 + index.rank() > Shape::kMaxRank) context.fail({"the result would have too many axes"});
    std::array<int64_t, 2 * Shape::kMaxRank> dims{};
    size_t rank = 0;
    for (int i = 0; i < axis; ++i) dims[rank++] = x[i];
    for (const int64_t dim : index.dims()) dims[rank++] = dim;
    for (int i = axis + 1; i < x.rank(); ++i) dims[rank++] = x[i];
    context.output(0, context.dtype(0), Shape(std::span(dims).first(rank)));
  }

  void run(const RunContext& context) const override {
    const TensorView& x = context.input(0);
    const TensorView& index = context.input(1);
    gather(x.data, x.shape, axis_of(axis_, x.shape),
           std::span(index.as<const int64_t>(), static_cast<size_t>(index.shape.elements())), size_of(x.dtype),
           context.output(0).data);
  }

 private:
  const int64_t axis_;
};

class Slice : public Op {
 public:
  explicit Slice(AttrReader& attrs)
      : axis_(attrs.integer("axis", -Shape::kMaxRank, Shape::kMaxRank - 1)),
        start_(attrs.integer("start", 0, AttrReader::kMaxSize)),
        end_(attrs.integer("end", start_, AttrReader::kMaxSize)) {}

  void infer(InferContext& context) const override {
    Shape shape = context.shape(0);
    const int axis = axis_within(context, axis_, shape.rank());
    if (end_ > shape[axis]) context.fail({"'end' ", end_, " is outside x ", shape_text(shape)});
    shape[axis] = end_ - start_;
    context.output(0, context.dtype(0), shape);
  }

  void run(const RunContext& context) const override {
    const TensorView& x = context.input(0);
    slice(x.data, x.shape, axis_of(axis_, x.shape), start_, end_, size_of(x.dtype), context.output(0).data);
  }

 private:
  const int64_t axis_, start_, end_;
};

class Concat : public Op {
 public:
  explicit Concat(AttrReader& attrs) : axis_(attrs.integer("axis", -Shape::kMaxRank, Shape::kMaxRank - 1)) {}

  void infer(InferContext& context) const override {
    Shape shape = context.shape(0);
    const int axis = axis_within(context, axis_, shape.rank());
    for (int input = 1; input < context.inputs(); ++input) {
      if (!context.has(input)) context.fail({"input ", input, " was left out"});
      context.expect(input, context.dtype(0), shape.rank());
      Shape same = context.shape(input);
      int64_t sum = 0;
      if (__builtin_add_overflow(shape[axis], same[axis], &sum)) context.fail({"the result would be too large"});
      shape[axis] = sum;
      same[axis] = sum;
      if (same != shape) context.fail({"input ", input, " differs outside the axis"});
    }
    context.output(0, context.dtype(0), shape);
  }

  void run(const RunContext& context) const override {
    const TensorView& y = context.output(0);
    const int axis = axis_of(axis_, y.shape);
    int64_t outer = 1, inner = size_of(y.dtype);
    for (int i = 0; i < axis; ++i) outer *= y.shape[i];
    for (int i = axis + 1; i < y.shape.rank(); ++i) inner *= y.shape[i];
    const int64_t row = y.shape[axis] * inner;
    int64_t column = 0;
    for (int input = 0; input < context.inputs(); ++input) {
      const TensorView& x = context.input(input);
      const int64_t piece = x.shape[axis] * inner;
      if (piece == 0) continue;
      for (int64_t o = 0; o < outer; ++o) {
        std::memcpy(y.as<std::byte>() + o * row + column, x.as<std::byte>() + o * piece, static_cast<size_t>(piece));
      }
      column += piece;
    }
  }

 private:
  const int64_t axis_;
};

// In 'shape', -1 stands for whatever is left (once) and 0 for the axis of x at the same place.
class Reshape : public Op {
 public:
  explicit Reshape(AttrReader& attrs) : shape_(attrs.integers("shape", -1, AttrReader::kMaxSize, Shape::kMaxRank)) {
    int inferred = 0;
    for (const int64_t dim : shape_) inferred += dim == -1;
    if (inferred > 1) attrs.fail({"'shape' has -1 more than once"});
  }

  void infer(InferContext& context) const override {
    const Shape& x = context.shape(0);
    Shape shape{std::span<const int64_t>(shape_)};
    int64_t known = 1;
    int inferred = -1;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == -1) {
        inferred = axis;
        continue;
      }
      if (shape[axis] == 0) {
        if (axis >= x.rank()) context.fail({"'shape' copies axis ", axis, ", which x lacks"});
        shape[axis] = x[axis];
      }
      if (__builtin_mul_overflow(known, shape[axis], &known)) context.fail({"'shape' is too large"});
    }
    if (inferred >= 0) shape[inferred] = known == 0 ? 0 : x.elements() / known;
    int64_t elements = 1;
    for (const int64_t dim : shape.dims()) {
      if (__builtin_mul_overflow(elements, dim, &elements)) context.fail({"'shape' is too large"});
    }
    if (elements != x.elements()) context.fail({"x ", shape_text(x), " does not fill ", shape_text(shape)});
    context.output(0, context.dtype(0), shape);
  }

  void run(const RunContext&) const override {}
  bool is_view() const override { return true; }

 private:
  const std::vector<int64_t> shape_;
};

}  // namespace

#define ANYON_ROW(row, implementation, min_inputs, max_inputs) \
  extern const OpRow op_##row;                                 \
  constinit const OpRow op_##row = {#row, min_inputs, max_inputs, 1, make_op<implementation>};

ANYON_ROW(transpose, Transpose, 1, 1)
ANYON_ROW(gather, Gather, 2, 2)
ANYON_ROW(slice, Slice, 1, 1)
ANYON_ROW(concat, Concat, 1, 1024)
ANYON_ROW(reshape, Reshape, 1, 1)

#undef ANYON_ROW

}  // namespace anyon
