// Arithmetic of two or more tensors with numpy broadcasting.
#include <cmath>

#include "graph/map.h"
#include "kernels/elementwise/elementwise.h"

namespace anyon::graph {
namespace {

// f(a, b) in the wide type of both, rounded to the first input's type.
template <class F>
void pairs(Run& run, F f) {
  const DType dtype = run.input(0).dtype;
  if (run.input(1).dtype != dtype) run.fail({"its inputs are of different types"});
  const Tensor a = run.wide_input(0), b = run.wide_input(1);
  const std::array<Shape, 2> shapes = {a.shape, b.shape};
  const Tensor y = run.scratch(a.dtype, broadcast(shapes));
  with_wide(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_pairs<T, T>(run.pool(), a, b, y, f);
  });
  run.give(0, y, dtype);
}

template <BinaryOp kOp, class F>
void pairs_fast(Run& run, F f) {
  if (run.input(0).dtype != DType::kF32 || run.input(1).dtype != DType::kF32) return pairs(run, f);
  const Tensor &a = run.input(0), &b = run.input(1);
  const Tensor y = run.make(0, DType::kF32, broadcast_shape(a.shape, b.shape));
  binary(run.isa(), kOp, a.as<const float>(), a.shape, b.as<const float>(), b.shape, y.as<float>(), run.pool());
}

template <class T>
T divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;  // undefined in ONNX; the process must survive it
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return minus(T{0}, a);
    }
  }
  return a / b;
}

// Python's %: the result has the sign of the divisor.
template <class T>
T modulo(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    const T rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  } else {
    const T rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
}

template <class T>
T remainder(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return a % b;
  } else {
    return std::fmod(a, b);
  }
}

template <class T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return a;
    return a >= b ? a : b;
  }
  return a > b ? a : b;
}

template <class T>
T smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return a;
    return a <= b ? a : b;
  }
  return a < b ? a : b;
}

void add(Run& run) {
  pairs_fast<BinaryOp::kAdd>(run, [](auto a, auto b) { return plus(a, b); });
}
void sub(Run& run) {
  pairs_fast<BinaryOp::kSub>(run, [](auto a, auto b) { return minus(a, b); });
}
void mul(Run& run) {
  pairs_fast<BinaryOp::kMul>(run, [](auto a, auto b) { return times(a, b); });
}
void div(Run& run) {
  pairs_fast<BinaryOp::kDiv>(run, [](auto a, auto b) { return divide(a, b); });
}
void mod(Run& run) {
  if (run.attributes().flag("fmod")) return pairs(run, [](auto a, auto b) { return remainder(a, b); });
  pairs(run, [](auto a, auto b) { return modulo(a, b); });
}

// An integer to an integer power, exactly; 0 for a negative power, as C++ and numpy truncate it.
uint64_t integer_power(uint64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : 0;
  uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

// The exponent may be of another type than the base.
void pow_op(Run& run) {
  const DType dtype = run.input(0).dtype;
  const bool integers = !is_float(dtype) && !is_float(run.input(1).dtype);
  const DType type = integers ? DType::kI64 : dtype == DType::kF32 ? DType::kF32 : DType::kF64;
  const Tensor a = run.input_as(0, type), b = run.input_as(1, type);
  const std::array<Shape, 2> shapes = {a.shape, b.shape};
  const Tensor y = run.scratch(type, broadcast(shapes));
  if (integers) {
    map_pairs<int64_t, int64_t>(run.pool(), a, b, y, [](int64_t base, int64_t exponent) {
      return static_cast<int64_t>(integer_power(static_cast<uint64_t>(base), exponent));
    });
  } else if (type == DType::kF32) {
    map_pairs<float, float>(run.pool(), a, b, y, [](float base, float exponent) {
      return exponent == 2 ? base * base : std::pow(base, exponent);
    });
  } else {
    map_pairs<double, double>(run.pool(), a, b, y, [](double x, double e) { return std::pow(x, e); });
  }
  run.give(0, y, dtype);
}

void bit_shift(Run& run) {
  const std::string direction = run.attributes().text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") run.fail({"'direction' is neither LEFT nor RIGHT"});
  const bool left = direction == "LEFT";
  pairs(run, [left]<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>) {
      // Beyond the width nothing is left but the sign.
      if (b < 0 || b > 63) return left || a >= 0 ? T{0} : static_cast<T>(-1);
      return left ? static_cast<T>(static_cast<uint64_t>(a) << b) : static_cast<T>(a >> b);
    }
    return a;
  });
}

template <class F>
void bits(Run& run, F f) {
  if (is_float(run.input(0).dtype)) run.fail({"its inputs are floats"});
  pairs(run, [f]<class T>(T a, T b) -> T {
    if constexpr (std::is_integral_v<T>) return f(a, b);
    return a;
  });
}
void bitwise_and(Run& run) {
  bits(run, [](auto a, auto b) { return a & b; });
}
void bitwise_or(Run& run) {
  bits(run, [](auto a, auto b) { return a | b; });
}
void bitwise_xor(Run& run) {
  bits(run, [](auto a, auto b) { return a ^ b; });
}

// f over all inputs from the left, then `finish` on the result.
template <class F>
Tensor fold(Run& run, F f) {
  const DType dtype = run.input(0).dtype;
  Tensor sum = run.wide_input(0);
  for (int i = 1; i < run.inputs(); ++i) {
    if (run.input(i).dtype != dtype) run.fail({"its inputs are of different types"});
    const Tensor b = run.wide_input(i);
    const std::array<Shape, 2> shapes = {sum.shape, b.shape};
    const Tensor y = run.scratch(sum.dtype, broadcast(shapes));
    with_wide(sum.dtype, [&](auto zero) {
      using T = decltype(zero);
      map_pairs<T, T>(run.pool(), sum, b, y, f);
    });
    sum = y;
  }
  return sum;
}

void max_op(Run& run) {
  run.give(0, fold(run, [](auto a, auto b) { return larger(a, b); }), run.input(0).dtype);
}
void min_op(Run& run) {
  run.give(0, fold(run, [](auto a, auto b) { return smaller(a, b); }), run.input(0).dtype);
}
void sum_op(Run& run) {
  run.give(0, fold(run, [](auto a, auto b) { return plus(a, b); }), run.input(0).dtype);
}
void mean_op(Run& run) {
  const Tensor sum = fold(run, [](auto a, auto b) { return plus(a, b); });
  const Tensor y = run.scratch(sum.dtype, sum.shape);
  const int count = run.inputs();
  with_wide(sum.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_elements(run.pool(), sum.as<const T>(), y.as<T>(), sum.elements(),
                 [count](T x) { return x / static_cast<T>(count); });
  });
  run.give(0, y, run.input(0).dtype);
}

void prelu(Run& run) {
  pairs(run, []<class T>(T x, T slope) -> T { return x < 0 ? times(x, slope) : x; });
}

void clip(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.wide_input(0);
  const Tensor y = run.scratch(x.dtype, x.shape);
  const Tensor low = run.has(1) ? run.wide_input(1) : Tensor(), high = run.has(2) ? run.wide_input(2) : Tensor();
  for (const Tensor* bound : {&low, &high}) {
    if (bound->defined && bound->elements() != 1) run.fail({"a bound is not one number"});
  }
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool has_low = low.defined, has_high = high.defined;
    const T least = has_low ? *low.as<const T>() : T{}, most = has_high ? *high.as<const T>() : T{};
    map_elements(run.pool(), x.as<const T>(), y.as<T>(), x.elements(), [=](T value) {
      if (has_low && value < least) value = least;
      return has_high && value > most ? most : value;
    });
  });
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"Add", 7, 2, 2, 1, add, ""},
    {"BitShift", 11, 2, 2, 1, bit_shift, "direction"},
    {"BitwiseAnd", 18, 2, 2, 1, bitwise_and, ""},
    {"BitwiseOr", 18, 2, 2, 1, bitwise_or, ""},
    {"BitwiseXor", 18, 2, 2, 1, bitwise_xor, ""},
    {"Clip", 11, 1, 3, 1, clip, ""},
    {"Div", 7, 2, 2, 1, div, ""},
    {"Max", 8, 1, kAnyNumber, 1, max_op, ""},
    {"Mean", 8, 1, kAnyNumber, 1, mean_op, ""},
    {"Min", 8, 1, kAnyNumber, 1, min_op, ""},
    {"Mod", 10, 2, 2, 1, mod, "fmod"},
    {"Mul", 7, 2, 2, 1, mul, ""},
    {"PRelu", 9, 2, 2, 1, prelu, ""},
    {"Pow", 12, 2, 2, 1, pow_op, ""},
    {"Sub", 7, 2, 2, 1, sub, ""},
    {"Sum", 8, 1, kAnyNumber, 1, sum_op, ""},
};

}  // namespace

extern const std::span<const OpRow> arithmetic_ops;
constinit const std::span<const OpRow> arithmetic_ops = kRows;

}  // namespace anyon::graph
