// Every unary and binary kernel against reference.cc, over the whole range of floats for the unary ones.
#include "kernels/elementwise/elementwise.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

constexpr UnaryOp kUnaryOps[] = {UnaryOp::kGelu,    UnaryOp::kGeluTanh, UnaryOp::kRelu, UnaryOp::kSilu,
                                 UnaryOp::kSigmoid, UnaryOp::kTanh,     UnaryOp::kExp};
constexpr BinaryOp kBinaryOps[] = {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv};

// Dense around zero, where activations bend, and sparse out to where they are flat.
std::vector<float> sample_points() {
  std::vector<float> x;
  for (float v = -20.0f; v < 20.0f; v += 0.000713f) x.push_back(v);
  for (float size = 1e-30f; size < 1e30f; size *= 1.7f) {
    x.push_back(size);
    x.push_back(-size);
  }
  x.push_back(0.0f);
  x.push_back(INFINITY);
  return x;
}

double bound(UnaryOp op, double x, double expected) {
  switch (op) {
    case UnaryOp::kRelu:
      return 0.0;
    case UnaryOp::kGelu:
      // Stated absolute error for the part that is not the identity, and the rounding of the result.
      return 1.5e-7 + 2 * kEps * std::fabs(expected);
    case UnaryOp::kGeluTanh:
    case UnaryOp::kSilu:
      // The exponent is rounded at |x|-dependent size, which matters only while the result is small.
      return 5e-7 * std::max(1.0, std::fabs(expected));
    case UnaryOp::kSigmoid:
      return 3e-7;
    case UnaryOp::kTanh:
      return 6 * kEps * std::fabs(expected);
    case UnaryOp::kExp:
      return 4 * kEps * expected + 2e-38;  // below 1.7e-38 the result may be 0
  }
  return 0.0;
}

TEST(Elementwise, EveryUnaryKernelAgreesWithTheReferenceEverywhere) {
  const std::vector<float> x = sample_points();
  for (const auto& row : testing::runnable(unary_kernels())) {
    SCOPED_TRACE(row.name);
    for (const UnaryOp op : kUnaryOps) {
      SCOPED_TRACE("op " + std::to_string(static_cast<int>(op)));
      std::vector<float> y(x.size()), expected(x.size());
      row.function(op, x.data(), y.data(), static_cast<int64_t>(x.size()));
      reference::unary(op, x.data(), expected.data(), static_cast<int64_t>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        if (std::isinf(expected[i])) {
          ASSERT_EQ(y[i], expected[i]) << "at x = " << x[i];
        } else {
          ASSERT_NEAR(y[i], expected[i], bound(op, x[i], expected[i])) << "at x = " << x[i];
        }
      }
    }
  }
}

TEST(Elementwise, NaNStaysNaN) {
  for (const auto& row : testing::runnable(unary_kernels())) {
    for (const UnaryOp op : kUnaryOps) {
      const std::vector<float> x(19, NAN);
      std::vector<float> y(19, 0.0f);
      row.function(op, x.data(), y.data(), 19);
      for (const float v : y) EXPECT_TRUE(std::isnan(v)) << row.name << " op " << static_cast<int>(op);
    }
  }
}

TEST(Elementwise, EveryLengthStaysInItsBounds) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(unary_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int64_t n = 0; n < 70; ++n) {
      const std::vector<float> x = random.floats(n);
      std::vector<float> y(x.size() + 3, kCanary);
      row.function(UnaryOp::kRelu, x.data(), y.data(), n);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], std::max(x[i], 0.0f));
      for (size_t i = x.size(); i < y.size(); ++i) ASSERT_EQ(y[i], kCanary);
    }
  }
}

// A random shape, and two shapes that broadcast to it.
std::vector<Shape> broadcasting_shapes(Random& random) {
  const int rank = static_cast<int>(random.between(0, 5));

  std::vector<int64_t> a_dims, b_dims;
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t n = random.between(random.between(0, 20) == 0 ? 0 : 1, 9);
    const int64_t kind = random.between(0, 3);
    a_dims.push_back(kind == 1 ? 1 : n);
    b_dims.push_back(kind == 2 ? 1 : n);
  }
  // A shorter operand gets ones in front.
  if (rank > 1 && random.coin()) b_dims.erase(b_dims.begin(), b_dims.begin() + random.between(1, rank));
  return {Shape(std::span<const int64_t>(a_dims)), Shape(std::span<const int64_t>(b_dims))};
}

TEST(Elementwise, BinaryBroadcastsAsTheReferenceDoes) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(binary_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    for (int i = 0; i < 300; ++i) {
      const std::vector<Shape> shapes = broadcasting_shapes(random);
      const Shape shape = broadcast_shape(shapes[0], shapes[1]);
      const std::vector<float> a = random.floats(shapes[0].elements()), b = random.floats(shapes[1].elements());
      std::vector<float> expected(static_cast<size_t>(shape.elements()));
      std::vector<float> y(expected.size() + 3, kCanary);
      const BinaryOp op = kBinaryOps[random.between(0, 3)];
      reference::binary(op, a.data(), shapes[0], b.data(), shapes[1], expected.data());
      binary(row.isa, op, a.data(), shapes[0], b.data(), shapes[1], y.data(), random.coin() ? one : three);
      for (size_t j = 0; j < expected.size(); ++j) ASSERT_EQ(y[j], expected[j]) << "at " << j;
      for (size_t j = expected.size(); j < y.size(); ++j) ASSERT_EQ(y[j], kCanary);
    }
  }
}

TEST(Elementwise, LargeBinaryOpsSplitOverThreads) {
  ANYON_TRACE_SEED();
  ThreadPool three(3);
  for (const auto& row : testing::runnable(binary_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 2);
    const Shape whole{3, 150, 384}, table{150, 384}, vector{384};
    const std::vector<float> a = random.floats(whole.elements()), b = random.floats(table.elements());
    for (const Shape& other : {whole, table, vector}) {
      const std::vector<float>& values = other == whole ? a : b;
      std::vector<float> y(a.size()), expected(a.size());
      binary(row.isa, BinaryOp::kAdd, a.data(), whole, values.data(), other, y.data(), three);
      reference::binary(BinaryOp::kAdd, a.data(), whole, values.data(), other, expected.data());
      ASSERT_TRUE(testing::same_bits(y, expected));
    }
  }
}

TEST(Elementwise, ShapesThatDoNotBroadcastAreRefused) {
  EXPECT_EQ(broadcast_shape(Shape{2, 1, 3}, Shape{4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(broadcast_shape(Shape{}, Shape{0, 2}), (Shape{0, 2}));
  EXPECT_THROW(broadcast_shape(Shape{2, 3}, Shape{2, 4}), Error);
}

}  // namespace
}  // namespace anyon
