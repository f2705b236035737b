// Broadcasting for binary ops, and the split over threads.
#include "kernels/elementwise/elementwise.h"

#include <algorithm>
#include <string>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "core/status.h"
#include "kernels/elementwise/kernels.inc"
#undef ANYON_KERNEL

// Each table keeps the rows of its own op.
#define ANYON_KERNEL(function, isa, op) ANYON_ROW_##op(function, isa)
namespace {

constexpr KernelRow<unary_kernel> kUnaryRows[] = {
#define ANYON_ROW_unary(function, isa) {#function, isa, function},
#define ANYON_ROW_binary(function, isa)
#include "kernels/elementwise/kernels.inc"
#undef ANYON_ROW_unary
#undef ANYON_ROW_binary
};

constexpr KernelRow<binary_kernel> kBinaryRows[] = {
#define ANYON_ROW_unary(function, isa)
#define ANYON_ROW_binary(function, isa) {#function, isa, function},
#include "kernels/elementwise/kernels.inc"
#undef ANYON_ROW_unary
#undef ANYON_ROW_binary
};
#undef ANYON_KERNEL

// Less work than this is done before another thread has woken. A multiple of every vector width, so that splitting
// does not turn whole vectors into partial ones.
constexpr int64_t kMinElements = 32 << 10;

// The axes of a broadcast with neighbours merged where both operands step through them alike.
struct Broadcast {
  Broadcast(const Shape& shape, const Shape& a, const Shape& b) {
    int64_t a_size = 1, b_size = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const int64_t n = shape[axis];
      const int64_t a_dim = dim(a, axis - shape.rank()), b_dim = dim(b, axis - shape.rank());
      const int64_t a_step = a_dim == 1 ? 0 : a_size, b_step = b_dim == 1 ? 0 : b_size;
      a_size *= a_dim;
      b_size *= b_dim;
      if (n == 1) continue;
      if (rank > 0 && continues(a_step, a_steps[rank - 1]) && continues(b_step, b_steps[rank - 1])) {
        dims[rank - 1] *= n;
        continue;
      }
      dims[rank] = n;
      a_steps[rank] = a_step;
      b_steps[rank] = b_step;
      ++rank;
    }
    if (rank == 0) {
      rank = 1;
      dims[0] = 1;
    }
  }

  static int64_t dim(const Shape& shape, int from_end) {
    const int axis = shape.rank() + from_end;
    return axis < 0 ? 1 : shape[axis];
  }
  bool continues(int64_t outer_step, int64_t inner_step) const { return outer_step == inner_step * dims[rank - 1]; }

  // Innermost axis first.
  int rank = 0;
  int64_t dims[Shape::kMaxRank] = {};
  int64_t a_steps[Shape::kMaxRank] = {};
  int64_t b_steps[Shape::kMaxRank] = {};
};

}  // namespace

std::span<const KernelRow<unary_kernel>> unary_kernels() {
  return kUnaryRows;
}

std::span<const KernelRow<binary_kernel>> binary_kernels() {
  return kBinaryRows;
}

void unary(Isa isa, UnaryOp op, const float* x, float* y, int64_t n, ThreadPool& pool) {
  unary_kernel* kernel = kernel_for(unary_kernels(), isa, "unary");
  parallel_for(pool, n, kMinElements,
               [&](int64_t begin, int64_t end, int) { kernel(op, x + begin, y + begin, end - begin); });
}

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape shape = longer;
  const int shift = longer.rank() - shorter.rank();
  for (int axis = 0; axis < shorter.rank(); ++axis) {
    const int64_t p = longer[axis + shift], q = shorter[axis];
    if (p != q && p != 1 && q != 1) {
      throw_error(Status::kBadProgram,
                  {"broadcast: dimensions ", p, " and ", q, " of two operands do not match; one of them must be 1"});
    }
    shape[axis + shift] = p == 1 ? q : p;
  }
  return shape;
}

void binary(Isa isa, BinaryOp op, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y,
            ThreadPool& pool) {
  binary_kernel* kernel = kernel_for(binary_kernels(), isa, "binary");
  const Shape shape = broadcast_shape(a_shape, b_shape);
  const int64_t elements = shape.elements();
  if (elements <= 0) return;
  const Broadcast axes(shape, a_shape, b_shape);
  const int64_t width = axes.dims[0];
  const int64_t a_step = axes.a_steps[0], b_step = axes.b_steps[0];
  if (axes.rank == 1) {
    parallel_for(pool, elements, kMinElements, [&](int64_t begin, int64_t end, int) {
      kernel(op, a + begin * a_step, a_step, b + begin * b_step, b_step, y + begin, end - begin);
    });
    return;
  }
  parallel_for(pool, elements / width, std::max<int64_t>(1, kMinElements / width),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t row = begin; row < end; ++row) {
                   int64_t rest = row, a_offset = 0, b_offset = 0;
                   for (int axis = 1; axis < axes.rank; ++axis) {
                     const int64_t i = rest % axes.dims[axis];
                     rest /= axes.dims[axis];
                     a_offset += i * axes.a_steps[axis];
                     b_offset += i * axes.b_steps[axis];
                   }
                   kernel(op, a + a_offset, a_step, b + b_offset, b_step, y + row * width, width);
                 }
               });
}

}  // namespace anyon
