// Functions of one element.
#include <cmath>
#include <numbers>

#include "graph/map.h"
#include "kernels/elementwise/elementwise.h"

namespace anyon::graph {
namespace {

// f on floats: computed as float or double, rounded to the input's type.
template <class F>
void on_floats(Run& run, F f) {
  const DType dtype = run.input(0).dtype;
  if (!is_float(dtype)) run.unsupported({"an input of integers"});
  const Tensor x = run.wide_input(0);
  const Tensor y = run.scratch(x.dtype, x.shape);
  if (x.dtype == DType::kF32) {
    map_elements(run.pool(), x.as<const float>(), y.as<float>(), x.elements(), f);
  } else {
    map_elements(run.pool(), x.as<const double>(), y.as<double>(), x.elements(), f);
  }
  run.give(0, y, dtype);
}

template <class F>
void on_numbers(Run& run, F f) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.wide_input(0);
  const Tensor y = run.scratch(x.dtype, x.shape);
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_elements(run.pool(), x.as<const T>(), y.as<T>(), x.elements(), f);
  });
  run.give(0, y, dtype);
}

// f32 through the kernels that vectorise it, the rest through f.
template <UnaryOp kOp, class F>
void on_floats_fast(Run& run, F f) {
  if (run.input(0).dtype != DType::kF32) return on_floats(run, f);
  const Tensor& x = run.input(0);
  const Tensor y = run.make(0, x.dtype, x.shape);
  unary(run.isa(), kOp, x.as<const float>(), y.as<float>(), x.elements(), run.pool());
}

template <class F>
void test_floats(Run& run, F f) {
  const Tensor x = run.input_as(0, DType::kF64);
  const Tensor y = run.make(0, DType::kBool, x.shape);
  map_elements(run.pool(), x.as<const double>(), y.as<bool>(), x.elements(), f);
}

template <class T>
T sigmoid(T x) {
  // exp of a negative number only, so that nothing overflows.
  const T e = std::exp(-std::abs(x));
  return x >= 0 ? T{1} / (T{1} + e) : e / (T{1} + e);
}

template <class T>
T softplus(T x) {
  return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}

template <class T>
T gelu(T x) {
  return x * T{0.5} * (T{1} + std::erf(x * static_cast<T>(1 / std::numbers::sqrt2)));
}

template <class T>
T gelu_tanh(T x) {
  const auto scale = static_cast<T>(std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
  return x * T{0.5} * (T{1} + std::tanh(scale * (x + static_cast<T>(0.044715) * x * x * x)));
}

void abs_op(Run& run) {
  on_numbers(run, []<class T>(T x) -> T {
    if constexpr (std::is_unsigned_v<T>)
      return x;
    else if constexpr (std::is_integral_v<T>)
      return x < 0 ? minus(T{0}, x) : x;
    else
      return std::abs(x);
  });
}

void neg(Run& run) {
  on_numbers(run, []<class T>(T x) -> T {
    if constexpr (std::is_integral_v<T>)
      return minus(T{0}, x);
    else
      return -x;
  });
}

void sign(Run& run) {
  on_numbers(run, []<class T>(T x) -> T { return x > 0 ? T{1} : x < 0 ? static_cast<T>(-1) : x; });
}

void relu(Run& run) {
  if (run.input(0).dtype == DType::kF32) {
    return on_floats_fast<UnaryOp::kRelu>(run, [](auto x) { return x > 0 ? x : x * 0; });
  }
  on_numbers(run, []<class T>(T x) -> T { return x < 0 ? T{0} : x; });
}

void not_op(Run& run) {
  on_numbers(run, []<class T>(T x) { return static_cast<T>(x == 0); });
}

void bitwise_not(Run& run) {
  on_numbers(run, []<class T>(T x) -> T {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(~x);
    else
      return x;
  });
}

void is_inf(Run& run) {
  const bool negative = run.attributes().flag("detect_negative", true);
  const bool positive = run.attributes().flag("detect_positive", true);
  test_floats(run, [=](double x) { return std::isinf(x) && (x > 0 ? positive : negative); });
}

void is_nan(Run& run) {
  test_floats(run, [](double x) { return std::isnan(x); });
}

void gelu_op(Run& run) {
  const std::string approximate = run.attributes().text("approximate", "none");
  if (approximate == "tanh") return on_floats_fast<UnaryOp::kGeluTanh>(run, [](auto x) { return gelu_tanh(x); });
  if (approximate != "none") run.fail({"'approximate' is neither none nor tanh"});
  on_floats_fast<UnaryOp::kGelu>(run, [](auto x) { return gelu(x); });
}

// Functions with the constants alpha and beta, computed in double: their names and defaults differ, their form does
// not.
template <class F>
void with_constants(Run& run, const char* first, double first_default, const char* second, double second_default, F f) {
  const double a = run.attributes().number(first, first_default);
  const double b = second == nullptr ? 0 : run.attributes().number(second, second_default);
  on_floats(run, [=](auto x) { return static_cast<decltype(x)>(f(static_cast<double>(x), a, b)); });
}

void elu(Run& run) {
  with_constants(run, "alpha", 1, nullptr, 0, [](double x, double a, double) { return x < 0 ? a * std::expm1(x) : x; });
}
void celu(Run& run) {
  with_constants(run, "alpha", 1, nullptr, 0,
                 [](double x, double a, double) { return x < 0 ? a * std::expm1(x / a) : x; });
}
void selu(Run& run) {
  with_constants(run, "alpha", 1.67326319217681884765625, "gamma", 1.05070102214813232421875,
                 [](double x, double a, double g) { return g * (x > 0 ? x : a * std::expm1(x)); });
}
void leaky_relu(Run& run) {
  with_constants(run, "alpha", 0.01, nullptr, 0, [](double x, double a, double) { return x < 0 ? a * x : x; });
}
void thresholded_relu(Run& run) {
  with_constants(run, "alpha", 1, nullptr, 0, [](double x, double a, double) { return x > a ? x : 0; });
}
void hard_sigmoid(Run& run) {
  with_constants(run, "alpha", 0.2, "beta", 0.5,
                 [](double x, double a, double b) { return std::max(0.0, std::min(1.0, a * x + b)); });
}
void swish(Run& run) {
  with_constants(run, "alpha", 1, nullptr, 0, [](double x, double a, double) { return x * sigmoid(a * x); });
}
void shrink(Run& run) {
  const double lambda = run.attributes().number("lambd", 0.5), bias = run.attributes().number("bias", 0);
  on_numbers(run, [=]<class T>(T x) -> T {
    const auto value = static_cast<double>(x);
    return number_cast<T>(value < -lambda ? value + bias : value > lambda ? value - bias : 0);
  });
}

#define ANYON_FLOAT_OP(name, expression)                              \
  void name(Run& run) {                                               \
    on_floats(run, [](auto x) -> decltype(x) { return expression; }); \
  }

ANYON_FLOAT_OP(acos_op, std::acos(x))
ANYON_FLOAT_OP(acosh_op, std::acosh(x))
ANYON_FLOAT_OP(asin_op, std::asin(x))
ANYON_FLOAT_OP(asinh_op, std::asinh(x))
ANYON_FLOAT_OP(atan_op, std::atan(x))
ANYON_FLOAT_OP(atanh_op, std::atanh(x))
ANYON_FLOAT_OP(ceil_op, std::ceil(x))
ANYON_FLOAT_OP(cos_op, std::cos(x))
ANYON_FLOAT_OP(cosh_op, std::cosh(x))
ANYON_FLOAT_OP(erf_op, std::erf(x))
ANYON_FLOAT_OP(floor_op, std::floor(x))
ANYON_FLOAT_OP(hard_swish, x* std::max(decltype(x){0}, std::min(decltype(x){1}, x / 6 + decltype(x){0.5})))
ANYON_FLOAT_OP(log_op, std::log(x))
ANYON_FLOAT_OP(mish, x* std::tanh(softplus(x)))
ANYON_FLOAT_OP(reciprocal, 1 / x)
ANYON_FLOAT_OP(round_op, std::nearbyint(x))
ANYON_FLOAT_OP(sin_op, std::sin(x))
ANYON_FLOAT_OP(sinh_op, std::sinh(x))
ANYON_FLOAT_OP(softplus_op, softplus(x))
ANYON_FLOAT_OP(softsign, x / (1 + std::abs(x)))
ANYON_FLOAT_OP(sqrt_op, std::sqrt(x))
ANYON_FLOAT_OP(tan_op, std::tan(x))
#undef ANYON_FLOAT_OP

void exp_op(Run& run) {
  on_floats_fast<UnaryOp::kExp>(run, [](auto x) { return std::exp(x); });
}
void sigmoid_op(Run& run) {
  on_floats_fast<UnaryOp::kSigmoid>(run, [](auto x) { return sigmoid(x); });
}
void tanh_op(Run& run) {
  on_floats_fast<UnaryOp::kTanh>(run, [](auto x) { return std::tanh(x); });
}

constexpr OpRow kRows[] = {
    {"Abs", 6, 1, 1, 1, abs_op, ""},
    {"Acos", 7, 1, 1, 1, acos_op, ""},
    {"Acosh", 9, 1, 1, 1, acosh_op, ""},
    {"Asin", 7, 1, 1, 1, asin_op, ""},
    {"Asinh", 9, 1, 1, 1, asinh_op, ""},
    {"Atan", 7, 1, 1, 1, atan_op, ""},
    {"Atanh", 9, 1, 1, 1, atanh_op, ""},
    {"BitwiseNot", 18, 1, 1, 1, bitwise_not, ""},
    {"Ceil", 6, 1, 1, 1, ceil_op, ""},
    {"Celu", 12, 1, 1, 1, celu, "alpha"},
    {"Cos", 7, 1, 1, 1, cos_op, ""},
    {"Cosh", 9, 1, 1, 1, cosh_op, ""},
    {"Elu", 6, 1, 1, 1, elu, "alpha"},
    {"Erf", 9, 1, 1, 1, erf_op, ""},
    {"Exp", 6, 1, 1, 1, exp_op, ""},
    {"Floor", 6, 1, 1, 1, floor_op, ""},
    {"Gelu", 20, 1, 1, 1, gelu_op, "approximate"},
    {"HardSigmoid", 6, 1, 1, 1, hard_sigmoid, "alpha beta"},
    {"HardSwish", 14, 1, 1, 1, hard_swish, ""},
    {"IsInf", 10, 1, 1, 1, is_inf, "detect_negative detect_positive"},
    {"IsNaN", 9, 1, 1, 1, is_nan, ""},
    {"LeakyRelu", 6, 1, 1, 1, leaky_relu, "alpha"},
    {"Log", 6, 1, 1, 1, log_op, ""},
    {"Mish", 18, 1, 1, 1, mish, ""},
    {"Neg", 6, 1, 1, 1, neg, ""},
    {"Not", 1, 1, 1, 1, not_op, ""},
    {"Reciprocal", 6, 1, 1, 1, reciprocal, ""},
    {"Relu", 6, 1, 1, 1, relu, ""},
    {"Round", 11, 1, 1, 1, round_op, ""},
    {"Selu", 6, 1, 1, 1, selu, "alpha gamma"},
    {"Shrink", 9, 1, 1, 1, shrink, "bias lambd"},
    {"Sigmoid", 6, 1, 1, 1, sigmoid_op, ""},
    {"Sign", 9, 1, 1, 1, sign, ""},
    {"Sin", 7, 1, 1, 1, sin_op, ""},
    {"Sinh", 9, 1, 1, 1, sinh_op, ""},
    {"Softplus", 1, 1, 1, 1, softplus_op, ""},
    {"Softsign", 1, 1, 1, 1, softsign, ""},
    {"Sqrt", 6, 1, 1, 1, sqrt_op, ""},
    {"Swish", 24, 1, 1, 1, swish, "alpha"},
    {"Tan", 7, 1, 1, 1, tan_op, ""},
    {"Tanh", 6, 1, 1, 1, tanh_op, ""},
    {"ThresholdedRelu", 10, 1, 1, 1, thresholded_relu, "alpha"},
};

}  // namespace

extern const std::span<const OpRow> unary_ops;
constinit const std::span<const OpRow> unary_ops = kRows;

}  // namespace anyon::graph
