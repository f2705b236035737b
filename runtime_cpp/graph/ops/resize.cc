// Images at other sizes and other places: Resize, Upsample, GridSample.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// Keys' cubic convolution: "Cubic convolution interpolation for digital image processing", 1981.
double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

struct ResizeAxis {
  int64_t in = 0, out = 0;
  double scale = 1;
  double start = 0, end = 1;  // of the region of interest
};

struct ResizeRule {
  std::string coordinates, nearest, mode;
  double cubic_a = -0.75;
  bool antialias = false, exclude_outside = false;

  double source(const ResizeAxis& axis, int64_t i) const {
    const auto at = static_cast<double>(i), in = static_cast<double>(axis.in);
    const double out = axis.scale * in;  // before it was rounded down
    if (coordinates == "asymmetric") return at / axis.scale;
    if (coordinates == "align_corners") return axis.out == 1 ? 0 : at * (in - 1) / (out - 1);
    if (coordinates == "tf_crop_and_resize") {
      if (axis.out == 1) return 0.5 * (axis.start + axis.end) * (in - 1);
      return axis.start * (in - 1) + at * (axis.end - axis.start) * (in - 1) / (out - 1);
    }
    if (coordinates == "pytorch_half_pixel" && axis.out == 1) return 0;
    const double shift = coordinates == "half_pixel_symmetric" ? in / 2 * (1 - static_cast<double>(axis.out) / out) : 0;
    return shift + (at + 0.5) / axis.scale - 0.5;
  }

  int64_t nearest_index(double x, int64_t size) const {
    double index = 0;
    if (std::isnan(x)) x = 0;
    if (nearest == "floor") {
      index = std::floor(x);
    } else if (nearest == "ceil") {
      index = std::ceil(x);
    } else {
      index = nearest == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5);
    }
    return static_cast<int64_t>(std::clamp(index, 0.0, static_cast<double>(size - 1)));
  }

  // Elements and weights that make up the value at x; those outside count as the nearest inside, or not at all.
  std::vector<std::pair<int64_t, double>> taps(const ResizeAxis& axis, double x) const {
    const bool is_cubic = mode == "cubic";
    // Far outside nothing changes any more; NaN comes from a NaN in the region.
    const auto size = static_cast<double>(axis.in);
    x = std::isnan(x) ? 0 : std::clamp(x, -4 * size - 4, 5 * size + 4);
    const double stretch = antialias ? std::min(1.0, axis.scale) : 1;
    const double radius = (is_cubic ? 2 : 1) / stretch;
    std::vector<std::pair<int64_t, double>> result;
    double sum = 0;
    const auto first = static_cast<int64_t>(std::floor(x - radius)) + 1,
               last = static_cast<int64_t>(std::ceil(x + radius)) - 1;
    for (int64_t i = first; i <= last; ++i) {
      const double distance = (static_cast<double>(i) - x) * stretch;
      double weight = is_cubic ? cubic(distance, cubic_a) : std::max(0.0, 1 - std::fabs(distance));
      if (exclude_outside && (i < 0 || i >= axis.in)) weight = 0;
      sum += weight;
      result.emplace_back(std::clamp<int64_t>(i, 0, axis.in - 1), weight);
    }
    for (auto& [index, weight] : result) weight /= sum;
    return result;
  }
};

// One axis of x at other places: y's entry i is the weighted sum of taps[i].
Tensor resample(Run& run, const Tensor& x, int axis, const std::vector<std::vector<std::pair<int64_t, double>>>& taps) {
  Shape shape = x.shape;
  shape[axis] = static_cast<int64_t>(taps.size());
  const Tensor y = run.scratch(DType::kF32, shape);
  const AxisView view(x.shape, axis);
  parallel_for(run.pool(), view.outer, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t o = begin; o < end; ++o) {
      for (size_t i = 0; i < taps.size(); ++i) {
        float* to = y.as<float>() + (o * shape[axis] + static_cast<int64_t>(i)) * view.inner;
        std::fill_n(to, view.inner, 0.0f);
        for (const auto& [index, weight] : taps[i]) {
          const float* from = x.as<const float>() + (o * view.size + index) * view.inner;
          const auto factor = static_cast<float>(weight);
          for (int64_t k = 0; k < view.inner; ++k) to[k] += factor * from[k];
        }
      }
    }
  });
  return y;
}

std::vector<ResizeAxis> axes_of(Run& run, const Shape& x, const std::vector<double>& scales,
                                const std::vector<int64_t>& sizes, const std::vector<double>& roi) {
  std::vector<ResizeAxis> axes(static_cast<size_t>(x.rank()));
  for (size_t i = 0; i < axes.size(); ++i) axes[i].in = axes[i].out = x[static_cast<int>(i)];
  std::vector<int64_t> named(run.attributes().integers("axes").begin(), run.attributes().integers("axes").end());
  if (named.empty()) {
    for (int axis = 0; axis < x.rank(); ++axis) named.push_back(axis);
  }
  const size_t count = sizes.empty() ? scales.size() : sizes.size();
  if (count != named.size()) run.fail({"it has another number of sizes or scales than axes"});
  const std::string policy = run.attributes().text("keep_aspect_ratio_policy", "stretch");
  double common = policy == "not_larger" ? HUGE_VAL : 0;
  for (size_t i = 0; i < named.size(); ++i) {
    ResizeAxis& axis = axes[static_cast<size_t>(axis_of(run, named[i], x.rank()))];
    axis.scale = sizes.empty() ? scales[i] : static_cast<double>(sizes[i]) / static_cast<double>(axis.in);
    const double out =
        sizes.empty() ? std::floor(static_cast<double>(axis.in) * axis.scale) : static_cast<double>(sizes[i]);
    if (!(axis.scale > 0) || !(out >= 0) || out > 0x1p40) run.fail({"a size or scale is out of range"});
    axis.out = static_cast<int64_t>(out);
    if (roi.size() == 2 * named.size()) {
      axis.start = roi[i];
      axis.end = roi[i + named.size()];
    }
    common = policy == "not_larger" ? std::min(common, axis.scale) : std::max(common, axis.scale);
  }
  if (!sizes.empty() && policy != "stretch") {
    for (const int64_t each : named) {
      ResizeAxis& axis = axes[static_cast<size_t>(axis_of(run, each, x.rank()))];
      axis.scale = common;
      axis.out = number_cast<int64_t>(std::floor(common * static_cast<double>(axis.in) + 0.5));
    }
  }
  return axes;
}

std::vector<double> doubles(Run& run, int input) {
  if (!run.has(input)) return {};
  const Tensor tensor = run.input_as(input, DType::kF64);
  return {tensor.as<const double>(), tensor.as<const double>() + tensor.elements()};
}

Shape sizes_of(const std::vector<ResizeAxis>& axes) {
  std::vector<int64_t> dims;
  for (const ResizeAxis& axis : axes) dims.push_back(axis.out);
  return Shape(std::span<const int64_t>(dims));
}

void resize_nearest(Run& run, const std::vector<ResizeAxis>& axes, const ResizeRule& rule) {
  const Tensor& x = run.input(0);
  const Tensor y = run.make(0, x.dtype, sizes_of(axes));
  if (y.elements() == 0) return;
  std::vector<std::vector<int64_t>> maps;
  const bool crops = rule.coordinates == "tf_crop_and_resize";
  for (const ResizeAxis& axis : axes) {
    std::vector<int64_t>& map = maps.emplace_back();
    for (int64_t i = 0; i < axis.out; ++i) {
      const double at = rule.source(axis, i);
      const bool outside = crops && (at < 0 || at > static_cast<double>(axis.in - 1));
      map.push_back(axis.in == axis.out && axis.scale == 1 && !crops ? i
                    : outside                                        ? -1
                                                                     : rule.nearest_index(at, axis.in));
    }
  }
  const Tensor fill = run.scratch(DType::kF32, Shape());
  *fill.as<float>() = static_cast<float>(run.attributes().number("extrapolation_value", 0));
  copy_mapped(x, maps, run.convert(fill, x.dtype).data, y);
}

void resize_smooth(Run& run, const std::vector<ResizeAxis>& axes, const ResizeRule& rule) {
  const DType dtype = run.input(0).dtype;
  const Shape shape = sizes_of(axes);
  Tensor y = run.input_as(0, DType::kF32);
  if (shape.elements() == 0 || y.elements() == 0) {
    run.make(0, dtype, shape);
    return;
  }
  const bool crops = rule.coordinates == "tf_crop_and_resize";
  std::vector<std::vector<int64_t>> maps;
  bool any_outside = false;
  for (size_t i = 0; i < axes.size(); ++i) {
    const ResizeAxis& axis = axes[i];
    std::vector<int64_t>& map = maps.emplace_back(static_cast<size_t>(axis.out));
    std::vector<std::vector<std::pair<int64_t, double>>> taps(map.size());
    for (int64_t k = 0; k < axis.out; ++k) {
      const double at = rule.source(axis, k);
      taps[static_cast<size_t>(k)] = rule.taps(axis, at);
      const bool outside = crops && (at < 0 || at > static_cast<double>(axis.in - 1));
      map[static_cast<size_t>(k)] = outside ? -1 : k;
      any_outside = any_outside || outside;
    }
    if (axis.in == axis.out && axis.scale == 1 && !crops) continue;
    y = resample(run, y, static_cast<int>(i), taps);
  }
  if (any_outside) {
    const auto fill = static_cast<float>(run.attributes().number("extrapolation_value", 0));
    const Tensor cut = run.scratch(DType::kF32, shape);
    copy_mapped(y, maps, &fill, cut);
    y = cut;
  }
  run.give(0, y, dtype);
}

void resize(Run& run) {
  const Attributes& attributes = run.attributes();
  ResizeRule rule;
  rule.coordinates = attributes.text("coordinate_transformation_mode", "half_pixel");
  rule.nearest = attributes.text("nearest_mode", "round_prefer_floor");
  rule.mode = attributes.text("mode", "nearest");
  rule.cubic_a = attributes.number("cubic_coeff_a", -0.75);
  rule.antialias = attributes.flag("antialias");
  rule.exclude_outside = attributes.flag("exclude_outside");
  std::vector<double> scales = doubles(run, 2);
  if (scales.empty() == !run.has(3)) run.fail({"it needs sizes or scales, and not both"});
  const std::vector<ResizeAxis> axes = axes_of(run, run.input(0).shape, scales, run.integers(3), doubles(run, 1));
  if (rule.mode == "nearest") return resize_nearest(run, axes, rule);
  if (rule.mode != "linear" && rule.mode != "cubic") run.fail({"'mode' is not known"});
  resize_smooth(run, axes, rule);
}

// Opset 9: scales as an input, always asymmetric.
void upsample(Run& run) {
  ResizeRule rule;
  rule.coordinates = "asymmetric";
  rule.nearest = "floor";
  rule.mode = run.attributes().text("mode", "nearest");
  const std::vector<ResizeAxis> axes = axes_of(run, run.input(0).shape, doubles(run, 1), {}, {});
  if (rule.mode == "nearest") return resize_nearest(run, axes, rule);
  resize_smooth(run, axes, rule);
}

// Places on a grid: what lies at (fractional) coordinates of an image of any number of axes.
struct GridRule {
  enum class Padding { kZeros, kBorder, kReflection } padding = Padding::kZeros;
  bool align_corners = false;

  double to_index(double x, int64_t size) const {
    const auto n = static_cast<double>(size);
    return align_corners ? (x + 1) / 2 * (n - 1) : ((x + 1) * n - 1) / 2;
  }

  double reflected(double x, int64_t size) const {
    const double low = align_corners ? 0 : -0.5, high = static_cast<double>(size) - (align_corners ? 1 : 0.5);
    const double range = high - low;
    if (!(range > 0)) return 0;
    double distance = std::fmod(std::fabs(x - low), 2 * range);
    if (distance > range) distance = 2 * range - distance;
    return low + distance;
  }

  // The index as the padding says, or -1 where there is nothing.
  int64_t index(double x, int64_t size) const {
    if (padding == Padding::kReflection) x = reflected(x, size);
    if (!(x >= -0x1p40 && x <= 0x1p40)) return padding == Padding::kZeros ? -1 : 0;
    const auto at = static_cast<int64_t>(std::nearbyint(x));
    if (padding == Padding::kZeros) return at < 0 || at >= size ? -1 : at;
    return std::clamp<int64_t>(at, 0, size - 1);
  }
};

// Up to four taps along an axis.
struct GridTaps {
  int count = 0;
  std::array<int64_t, 4> index{};
  std::array<double, 4> weight{};
};

GridTaps grid_taps(const GridRule& rule, const std::string& mode, double x, int64_t size) {
  GridTaps taps;
  if (!(std::fabs(x) < 0x1p40)) x = -0x1p40;
  if (mode == "nearest") {
    taps.count = 1;
    taps.index[0] = rule.index(std::nearbyint(x), size);
    taps.weight[0] = 1;
    return taps;
  }
  const bool is_cubic = mode == "cubic";
  if (!is_cubic && rule.padding == GridRule::Padding::kReflection) x = rule.reflected(x, size);
  if (!is_cubic && rule.padding != GridRule::Padding::kZeros) x = std::clamp(x, 0.0, static_cast<double>(size - 1));
  const double base = std::floor(x);
  for (int i = is_cubic ? -1 : 0; i <= (is_cubic ? 2 : 1); ++i) {
    const double at = base + i;
    const auto slot = static_cast<size_t>(taps.count++);
    taps.index[slot] = rule.index(at, size);
    taps.weight[slot] = is_cubic ? cubic(x - at, -0.75) : 1 - std::fabs(x - at);
  }
  return taps;
}

void grid_sample(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32), grid = run.input_as(1, DType::kF32);
  const int axes = x.shape.rank() - 2;
  std::string mode = run.attributes().text("mode", "linear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  if (mode != "linear" && mode != "cubic" && mode != "nearest") run.fail({"'mode' is not known"});
  const std::string padding = run.attributes().text("padding_mode", "zeros");
  GridRule rule;
  rule.align_corners = run.attributes().flag("align_corners");
  rule.padding = padding == "border"       ? GridRule::Padding::kBorder
                 : padding == "reflection" ? GridRule::Padding::kReflection
                                           : GridRule::Padding::kZeros;
  if (axes < 1 || axes > 3 || grid.shape.rank() != axes + 2 || grid.shape[axes + 1] != axes ||
      grid.shape[0] != x.shape[0]) {
    run.fail({"its grid does not fit its input"});
  }
  std::vector<int64_t> dims = {x.shape[0], x.shape[1]};
  int64_t places = 1, plane = 1;
  for (int axis = 0; axis < axes; ++axis) {
    dims.push_back(grid.shape[axis + 1]);
    places *= grid.shape[axis + 1];
    plane *= x.shape[axis + 2];
  }
  if (plane == 0) run.fail({"its input is empty"});
  const Tensor y = run.scratch(DType::kF32, Shape(std::span<const int64_t>(dims)));
  const int64_t channels = x.shape[1];
  parallel_for(run.pool(), x.shape[0] * places, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin; at < end; ++at) {
      std::array<GridTaps, 3> taps;
      int64_t combinations = 1;
      for (int axis = 0; axis < axes; ++axis) {
        // The grid names the last axis first.
        const double where = grid.as<const float>()[at * axes + (axes - 1 - axis)];
        const int64_t size = x.shape[axis + 2];
        taps[static_cast<size_t>(axis)] = grid_taps(rule, mode, rule.to_index(where, size), size);
        combinations *= taps[static_cast<size_t>(axis)].count;
      }
      const int64_t b = at / places, place = at % places;
      for (int64_t c = 0; c < channels; ++c) {
        const float* image = x.as<const float>() + (b * channels + c) * plane;
        double sum = 0;
        for (int64_t combination = 0; combination < combinations; ++combination) {
          int64_t rest = combination, offset = 0;
          double weight = 1;
          for (int axis = 0; axis < axes; ++axis) {
            const GridTaps& own = taps[static_cast<size_t>(axis)];
            const auto pick = static_cast<size_t>(rest % own.count);
            rest /= own.count;
            offset = own.index[pick] < 0 || offset < 0 ? -1 : offset * x.shape[axis + 2] + own.index[pick];
            weight *= own.weight[pick];
          }
          if (offset >= 0) sum += weight * image[offset];
        }
        y.as<float>()[(b * channels + c) * places + place] = static_cast<float>(sum);
      }
    }
  });
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"GridSample", 16, 2, 2, 1, grid_sample, "align_corners mode padding_mode"},
    {"Resize", 11, 1, 4, 1, resize,
     "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
     "keep_aspect_ratio_policy mode nearest_mode"},
    {"Upsample", 9, 2, 2, 1, upsample, "mode"},
};

}  // namespace

extern const std::span<const OpRow> resize_ops;
constinit const std::span<const OpRow> resize_ops = kRows;

}  // namespace anyon::graph
