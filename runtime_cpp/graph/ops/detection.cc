// Boxes in images: which ones to keep, and what lies inside them.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/map.h"

namespace anyon::graph {
namespace {

struct Box {
  float top, left, bottom, right;
};

// Boxes are corners in any order (0), or centre and size (1).
Box box_at(const float* b, bool by_centre) {
  if (by_centre) return {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

float overlap(const Box& a, const Box& b) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const auto area = [](const Box& box) { return (box.bottom - box.top) * (box.right - box.left); };
  return height * width / (area(a) + area(b) - height * width);
}

void non_max_suppression(Run& run) {
  const Tensor boxes = run.input_as(0, DType::kF32), scores = run.input_as(1, DType::kF32);
  if (boxes.shape.rank() != 3 || scores.shape.rank() != 3 || boxes.shape[2] != 4 || scores.shape[0] != boxes.shape[0] ||
      scores.shape[2] != boxes.shape[1]) {
    run.fail({"boxes and scores do not fit each other"});
  }
  const int64_t most = run.has(2) ? run.integer(2) : 0, count = boxes.shape[1];
  const double iou = run.has(3) ? run.number(3) : 0, least = run.has(4) ? run.number(4) : -HUGE_VAL;
  const bool by_centre = run.attributes().flag("center_point_box");
  std::vector<int64_t> kept;
  for (int64_t row = 0; row < scores.shape[0] * scores.shape[1]; ++row) {
    const float* score = scores.as<const float>() + row * count;
    const float* first = boxes.as<const float>() + row / scores.shape[1] * count * 4;
    std::vector<int64_t> order(static_cast<size_t>(count)), chosen;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [score](int64_t a, int64_t b) { return score[a] > score[b]; });
    for (const int64_t candidate : order) {
      if (static_cast<int64_t>(chosen.size()) >= most) break;
      if (!(score[candidate] > least)) continue;
      const Box box = box_at(first + candidate * 4, by_centre);
      const bool covered = std::any_of(chosen.begin(), chosen.end(), [&](int64_t other) {
        return overlap(box, box_at(first + other * 4, by_centre)) > iou;
      });
      if (!covered) chosen.push_back(candidate);
    }
    for (const int64_t box : chosen) kept.insert(kept.end(), {row / scores.shape[1], row % scores.shape[1], box});
  }
  const Tensor y = run.make(0, DType::kI64, {static_cast<int64_t>(kept.size()) / 3, 3});
  std::copy(kept.begin(), kept.end(), y.as<int64_t>());
}

// Four neighbours of a place and their weights; none when it lies outside.
template <class F>
void interpolate(const float* plane, int64_t height, int64_t width, double row, double column, F add) {
  // Written so that NaN is outside.
  if (!(row >= -1 && row <= static_cast<double>(height) && column >= -1 && column <= static_cast<double>(width))) {
    add(0.0, 0.0, 0.0, 0.0);
    return;
  }
  row = std::clamp(row, 0.0, static_cast<double>(height - 1));
  column = std::clamp(column, 0.0, static_cast<double>(width - 1));
  const auto top = static_cast<int64_t>(row), left = static_cast<int64_t>(column);
  const int64_t bottom = std::min(top + 1, height - 1), right = std::min(left + 1, width - 1);
  const double down = row - static_cast<double>(top), across = column - static_cast<double>(left);
  add(plane[top * width + left] * (1 - down) * (1 - across), plane[top * width + right] * (1 - down) * across,
      plane[bottom * width + left] * down * (1 - across), plane[bottom * width + right] * down * across);
}

void roi_align(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32), rois = run.input_as(1, DType::kF32);
  const std::vector<int64_t> batch = run.integers(2);
  const Attributes& attributes = run.attributes();
  const int64_t rows = attributes.integer("output_height", 1), columns = attributes.integer("output_width", 1);
  const int64_t ratio = attributes.integer("sampling_ratio", 0);
  const double scale = attributes.number("spatial_scale", 1);
  const std::string mode = attributes.text("mode", "avg");
  // Before opset 16 places were not moved by half a pixel.
  const std::string where =
      attributes.text("coordinate_transformation_mode", run.opset() >= 16 ? "half_pixel" : "output_half_pixel");
  const double shift = where == "half_pixel" ? 0.5 : 0;
  constexpr int64_t kMost = 1 << 16;
  if (x.shape.rank() != 4 || rois.shape.rank() != 2 || rois.shape[1] != 4 ||
      static_cast<int64_t>(batch.size()) != rois.shape[0] || rows < 1 || columns < 1 || rows > kMost ||
      columns > kMost || ratio < 0 || ratio > kMost || x.elements() == 0) {
    run.fail({"its inputs do not fit each other"});
  }
  const int64_t channels = x.shape[1], height = x.shape[2], width = x.shape[3];
  const Tensor y = run.scratch(DType::kF32, {rois.shape[0], channels, rows, columns});
  for (int64_t r = 0; r < rois.shape[0]; ++r) {
    const int64_t image = batch[static_cast<size_t>(r)];
    if (image < 0 || image >= x.shape[0]) run.fail({"a region names an image that is not there"});
    const float* roi = rois.as<const float>() + r * 4;
    const double left = roi[0] * scale - shift, top = roi[1] * scale - shift;
    double roi_width = roi[2] * scale - shift - left, roi_height = roi[3] * scale - shift - top;
    if (shift == 0) {
      roi_width = std::max(roi_width, 1.0);
      roi_height = std::max(roi_height, 1.0);
    }
    const double bin_height = roi_height / static_cast<double>(rows),
                 bin_width = roi_width / static_cast<double>(columns);
    if (!(std::fabs(bin_height) < kMost && std::fabs(bin_width) < kMost)) run.fail({"a region is out of range"});
    const int64_t down = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_height));
    const int64_t across = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_width));
    for (int64_t at = 0; at < channels * rows * columns; ++at) {
      const int64_t channel = at / columns / rows, row = at / columns % rows, column = at % columns;
      const float* plane = x.as<const float>() + (image * channels + channel) * height * width;
      double sum = 0, most = 0;
      bool first = true;
      for (int64_t i = 0; i < down; ++i) {
        for (int64_t j = 0; j < across; ++j) {
          const double py =
              top +
              (static_cast<double>(row) + (static_cast<double>(i) + 0.5) / static_cast<double>(down)) * bin_height;
          const double px =
              left +
              (static_cast<double>(column) + (static_cast<double>(j) + 0.5) / static_cast<double>(across)) * bin_width;
          interpolate(plane, height, width, py, px, [&](double a, double b, double c, double d) {
            sum += a + b + c + d;
            const double largest = std::max({a, b, c, d});
            most = first ? largest : std::max(most, largest);
            first = false;
          });
        }
      }
      const auto count = static_cast<double>(std::max<int64_t>(1, down * across));
      y.as<float>()[r * channels * rows * columns + at] = static_cast<float>(mode == "max" ? most : sum / count);
    }
  }
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"NonMaxSuppression", 10, 2, 5, 1, non_max_suppression, "center_point_box"},
    {"RoiAlign", 10, 3, 3, 1, roi_align,
     "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale"},
};

}  // namespace

extern const std::span<const OpRow> detection_ops;
constinit const std::span<const OpRow> detection_ops = kRows;

}  // namespace anyon::graph
