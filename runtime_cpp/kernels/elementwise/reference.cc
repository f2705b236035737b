// Unary and broadcasting binary ops in plain loops, computed in double.
#include <cmath>

#include "kernels/elementwise/elementwise.h"
#include "kernels/reference_math.h"

namespace anyon::reference {
namespace {

double apply(UnaryOp op, double x) {
  switch (op) {
    case UnaryOp::kGelu:
      return activate(Activation::kGelu, x);
    case UnaryOp::kGeluTanh:
      return activate(Activation::kGeluTanh, x);
    case UnaryOp::kRelu:
      return activate(Activation::kRelu, x);
    case UnaryOp::kSilu:
      return activate(Activation::kSilu, x);
    case UnaryOp::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case UnaryOp::kTanh:
      return std::tanh(x);
    case UnaryOp::kExp:
      return std::exp(x);
  }
  return x;
}

float apply(BinaryOp op, float a, float b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
  }
  return a;
}

// Offset in an operand of `shape` of the element that broadcasts to `index` of an output of `rank` axes.
int64_t operand_offset(const Shape& shape, int rank, const int64_t* index) {
  int64_t offset = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t i = shape[axis] == 1 ? 0 : index[rank - shape.rank() + axis];
    offset = offset * shape[axis] + i;
  }
  return offset;
}

}  // namespace

void unary(UnaryOp op, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(apply(op, static_cast<double>(x[i])));
}

void binary(BinaryOp op, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y) {
  const Shape shape = broadcast_shape(a_shape, b_shape);
  int64_t index[Shape::kMaxRank] = {};
  for (int64_t i = 0; i < shape.elements(); ++i) {
    int64_t rest = i;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      index[axis] = rest % shape[axis];
      rest /= shape[axis];
    }
    y[i] = apply(op, a[operand_offset(a_shape, shape.rank(), index)], b[operand_offset(b_shape, shape.rank(), index)]);
  }
}

}  // namespace anyon::reference
