// Normalisations: batch, instance, layer, group, RMS, local response, Lp.
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"
#include "kernels/layer_norm/layer_norm.h"

namespace anyon::graph {
namespace {

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments_of(const float* x, int64_t n) {
  Moments moments;
  for (int64_t i = 0; i < n; ++i) moments.mean += x[i];
  moments.mean /= static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) moments.variance += (x[i] - moments.mean) * (x[i] - moments.mean);
  moments.variance /= static_cast<double>(n);
  return moments;
}

// A vector with one number a channel.
Tensor channel_input(Run& run, int input, int64_t channels) {
  const Tensor tensor = run.input_as(input, DType::kF32);
  if (tensor.elements() != channels) run.fail({"input ", input, " has not one number a channel"});
  return tensor;
}

void batch_normalization(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const int64_t channels = x.shape.rank() > 1 ? x.shape[1] : 1;
  const int64_t batch = x.shape.rank() > 0 ? x.shape[0] : 1;
  const int64_t plane = x.elements() == 0 ? 0 : x.elements() / batch / channels;
  const bool training = run.attributes().flag("training_mode");
  const double epsilon = run.attributes().number("epsilon", 1e-5), momentum = run.attributes().number("momentum", 0.9);
  const Tensor scale = channel_input(run, 1, channels), bias = channel_input(run, 2, channels);
  const Tensor mean = channel_input(run, 3, channels), variance = channel_input(run, 4, channels);
  const Tensor y = run.scratch(DType::kF32, x.shape);
  const Tensor next_mean = run.scratch(DType::kF32, {channels}), next_variance = run.scratch(DType::kF32, {channels});
  const auto channel = [&](int64_t c) {
    double mu = mean.as<const float>()[c], var = variance.as<const float>()[c];
    if (training) {
      const double count = static_cast<double>(batch * plane);
      double sum = 0, squares = 0;
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t i = 0; i < plane; ++i) sum += x.as<const float>()[(b * channels + c) * plane + i];
      }
      const double own = sum / count;
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t i = 0; i < plane; ++i) {
          const double d = x.as<const float>()[(b * channels + c) * plane + i] - own;
          squares += d * d;
        }
      }
      next_mean.as<float>()[c] = static_cast<float>(mu * momentum + own * (1 - momentum));
      next_variance.as<float>()[c] = static_cast<float>(var * momentum + squares / count * (1 - momentum));
      mu = own;
      var = squares / count;
    }
    const auto factor = static_cast<float>(scale.as<const float>()[c] / std::sqrt(var + epsilon));
    const float added = bias.as<const float>()[c];
    for (int64_t b = 0; b < batch; ++b) {
      const float* from = x.as<const float>() + (b * channels + c) * plane;
      float* to = y.as<float>() + (b * channels + c) * plane;
      for (int64_t i = 0; i < plane; ++i) to[i] = (from[i] - static_cast<float>(mu)) * factor + added;
    }
  };
  parallel_for(run.pool(), channels, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(1, batch * plane)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t c = begin; c < end; ++c) channel(c);
               });
  run.give(0, y, dtype);
  if (training) {
    run.give(1, next_mean, run.input(3).dtype);
    run.give(2, next_variance, run.input(4).dtype);
  }
}

// Groups of channels of (batch, channels, ...); scale and bias for each channel.
void normalize_groups(Run& run, int64_t groups) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  if (x.shape.rank() < 2) run.fail({"its input has no channels"});
  const int64_t channels = x.shape[1];
  if (groups == 0) groups = channels;
  if (groups < 1 || channels % groups != 0) run.fail({"'num_groups' does not divide the channels"});
  const double epsilon = run.attributes().number("epsilon", 1e-5);
  const Tensor scale = channel_input(run, 1, channels), bias = channel_input(run, 2, channels);
  const Tensor y = run.scratch(DType::kF32, x.shape);
  if (x.elements() == 0) return run.give(0, y, dtype);
  const int64_t rows = x.shape[0] * groups, width = x.elements() / rows;
  const int64_t per_group = channels / groups, plane = width / per_group;
  parallel_for(run.pool(), rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = x.as<const float>() + row * width;
      float* to = y.as<float>() + row * width;
      const Moments moments = moments_of(from, width);
      const double factor = 1 / std::sqrt(moments.variance + epsilon);
      for (int64_t i = 0; i < width; ++i) {
        const int64_t channel = row % groups * per_group + i / plane;
        to[i] = static_cast<float>((from[i] - moments.mean) * factor * scale.as<const float>()[channel] +
                                   bias.as<const float>()[channel]);
      }
    }
  });
  run.give(0, y, dtype);
}

void instance_normalization(Run& run) {
  normalize_groups(run, 0);
}
void group_normalization(Run& run) {
  normalize_groups(run, run.attributes().integer("num_groups", -1));
}

// Rows over the last axes, from 'axis' on; scale (and bias) broadcast to x.
struct Rows {
  int64_t rows = 1, width = 1;
  Shape outer;  // with 1 for the normalised axes
  Rows(const Run& run, const Shape& x) : outer(x) {
    const int axis = axis_of(run, run.attributes().integer("axis", -1), x.rank());
    for (int i = 0; i < x.rank(); ++i) {
      (i < axis ? rows : width) *= x[i];
      if (i >= axis) outer[i] = 1;
    }
  }
};

// Multiplies y by input 1 and adds input 2, both broadcast.
Tensor scaled(Run& run, Tensor y, int scale, int bias) {
  const auto same = [&](const Tensor& other) {
    const std::array<Shape, 2> shapes = {y.shape, other.shape};
    if (!(broadcast(shapes) == y.shape)) run.fail({"its scale or bias does not broadcast to its input"});
  };
  const Tensor factor = run.input_as(scale, DType::kF32);
  same(factor);
  map_pairs<float, float>(run.pool(), y, factor, y, [](float a, float b) { return a * b; });
  if (run.has(bias)) {
    const Tensor added = run.input_as(bias, DType::kF32);
    same(added);
    map_pairs<float, float>(run.pool(), y, added, y, [](float a, float b) { return a + b; });
  }
  return y;
}

void layer_normalization(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const Rows rows(run, x.shape);
  const double epsilon = run.attributes().number("epsilon", 1e-5);
  const Tensor y = run.scratch(DType::kF32, x.shape);
  LayerNormArgs args;
  args.x = x.as<const float>();
  args.y = y.as<float>();
  args.rows = rows.rows;
  args.width = rows.width;
  args.epsilon = static_cast<float>(epsilon);
  if (x.elements() != 0) layer_norm(run.isa(), args, run.pool());
  run.give(0, scaled(run, y, 1, 2), dtype);
  if (!run.wants(1) && !run.wants(2)) return;
  const Tensor mean = run.scratch(DType::kF32, rows.outer), inverse = run.scratch(DType::kF32, rows.outer);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const Moments moments = moments_of(x.as<const float>() + row * rows.width, rows.width);
    mean.as<float>()[row] = static_cast<float>(moments.mean);
    inverse.as<float>()[row] = static_cast<float>(1 / std::sqrt(moments.variance + epsilon));
  }
  run.give(1, mean);
  run.give(2, inverse);
}

void rms_normalization(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const Rows rows(run, x.shape);
  const double epsilon = run.attributes().number("epsilon", 1e-5);
  const Tensor y = run.scratch(DType::kF32, x.shape);
  parallel_for(run.pool(), rows.width == 0 ? 0 : rows.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = x.as<const float>() + row * rows.width;
      double squares = 0;
      for (int64_t i = 0; i < rows.width; ++i) squares += static_cast<double>(from[i]) * from[i];
      const auto factor = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(rows.width) + epsilon));
      for (int64_t i = 0; i < rows.width; ++i) y.as<float>()[row * rows.width + i] = from[i] * factor;
    }
  });
  run.give(0, scaled(run, y, 1, 2), dtype);
}

void lrn(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  if (x.shape.rank() < 2) run.fail({"its input has no channels"});
  const AxisView view(x.shape, 1);
  const int64_t size = run.attributes().integer("size", 1);
  if (size < 1 || size > int64_t{1} << 31) run.fail({"'size' is out of range"});
  const double alpha = run.attributes().number("alpha", 1e-4), beta = run.attributes().number("beta", 0.75),
               bias = run.attributes().number("bias", 1);
  const Tensor y = run.scratch(DType::kF32, x.shape);
  for (int64_t at = 0; at < x.elements(); ++at) {
    const int64_t channel = at / view.inner % view.size;
    double squares = 0;
    for (int64_t c = std::max<int64_t>(0, channel - (size - 1) / 2); c <= std::min(view.size - 1, channel + size / 2);
         ++c) {
      const double value = x.as<const float>()[at + (c - channel) * view.inner];
      squares += value * value;
    }
    const double scale = bias + alpha / static_cast<double>(size) * squares;
    y.as<float>()[at] = static_cast<float>(x.as<const float>()[at] / std::pow(scale, beta));
  }
  run.give(0, y, dtype);
}

void lp_normalization(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const int64_t p = run.attributes().integer("p", 2);
  if (p != 1 && p != 2) run.unsupported({"a norm other than 1 and 2"});
  const AxisView view(x.shape, axis_of(run, run.attributes().integer("axis", -1), x.shape.rank()));
  const Tensor y = run.scratch(DType::kF32, x.shape);
  for (int64_t line = 0; line < view.outer * view.inner; ++line) {
    const int64_t first = line / view.inner * view.size * view.inner + line % view.inner;
    double norm = 0;
    for (int64_t k = 0; k < view.size; ++k) {
      const double value = std::fabs(static_cast<double>(x.as<const float>()[first + k * view.inner]));
      norm += p == 1 ? value : value * value;
    }
    if (p == 2) norm = std::sqrt(norm);
    for (int64_t k = 0; k < view.size; ++k) {
      const int64_t at = first + k * view.inner;
      y.as<float>()[at] = norm == 0 ? 0 : static_cast<float>(x.as<const float>()[at] / norm);
    }
  }
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"BatchNormalization", 9, 5, 5, 3, batch_normalization, "epsilon momentum training_mode"},
    {"GroupNormalization", 21, 3, 3, 1, group_normalization, "epsilon num_groups stash_type"},
    {"InstanceNormalization", 6, 3, 3, 1, instance_normalization, "epsilon"},
    {"LRN", 1, 1, 1, 1, lrn, "alpha beta bias size"},
    {"LayerNormalization", 17, 2, 3, 3, layer_normalization, "axis epsilon stash_type"},
    {"LpNormalization", 1, 1, 1, 1, lp_normalization, "axis p"},
    {"RMSNormalization", 23, 2, 2, 1, rms_normalization, "axis epsilon stash_type"},
};

}  // namespace

extern const std::span<const OpRow> normalization_ops;
constinit const std::span<const OpRow> normalization_ops = kRows;

}  // namespace anyon::graph
