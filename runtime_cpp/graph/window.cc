// Sizes of windows, and which elements they read.
#include "graph/window.h"

#include <algorithm>

#include "program/describe.h"

namespace anyon::graph {
namespace {

constexpr int64_t kMost = int64_t{1} << 30;  // of any size, stride or padding

std::vector<int64_t> listed(const Run& run, const char* name, size_t count, int64_t otherwise, int64_t least) {
  const std::span<const int64_t> list = run.attributes().integers(name);
  if (!list.empty() && list.size() != count) run.fail({"'", name, "' does not have one number an axis"});
  std::vector<int64_t> values(count, otherwise);
  std::copy(list.begin(), list.end(), values.begin());
  for (const int64_t value : values) {
    if (value < least || value > kMost) run.fail({"'", name, "' is out of range"});
  }
  return values;
}

void place(WindowAxis& axis, const std::string& auto_pad, bool ceil_mode) {
  const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    axis.out = (axis.in + axis.stride - 1) / axis.stride;
    const int64_t total = std::max<int64_t>(0, (axis.out - 1) * axis.stride + reach - axis.in);
    axis.pad_begin = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    axis.pad_end = total - axis.pad_begin;
    return;
  }
  const int64_t room = axis.in + axis.pad_begin + axis.pad_end - reach;
  axis.out = room < 0 ? 0 : (room + (ceil_mode ? axis.stride - 1 : 0)) / axis.stride + 1;
  // A window that would start in the padding behind the last element is none.
  if (ceil_mode && axis.out > 0 && (axis.out - 1) * axis.stride >= axis.in + axis.pad_begin) --axis.out;
}

}  // namespace

int64_t Window::in_elements() const {
  int64_t elements = 1;
  for (const WindowAxis& axis : axes) elements *= axis.in;
  return elements;
}

Shape Window::result(int64_t batch, int64_t channels) const {
  std::vector<int64_t> dims = {batch, channels};
  for (const WindowAxis& axis : axes) dims.push_back(axis.out);
  return Shape(std::span<const int64_t>(dims));
}

std::vector<int64_t> kernel_of(const Run& run, const Shape* weight) {
  const std::span<const int64_t> attribute = run.attributes().integers("kernel_shape");
  if (!attribute.empty() || weight == nullptr) return {attribute.begin(), attribute.end()};
  const std::span<const int64_t> dims = weight->dims();
  return {dims.begin() + std::min<int64_t>(2, weight->rank()), dims.end()};
}

Window window_of(const Run& run, const Shape& x, const std::vector<int64_t>& kernel) {
  const size_t count = kernel.size();
  if (count == 0 || x.rank() != static_cast<int>(count) + 2) {
    run.fail(
        {"a value of shape ", shape_text(x), " does not have batch, channels and one axis for each of the kernel"});
  }
  const std::vector<int64_t> strides = listed(run, "strides", count, 1, 1);
  const std::vector<int64_t> dilations = listed(run, "dilations", count, 1, 1);
  const std::vector<int64_t> pads = listed(run, "pads", 2 * count, 0, -kMost);
  const std::string auto_pad = run.attributes().text("auto_pad", "NOTSET");
  Window window;
  for (size_t i = 0; i < count; ++i) {
    WindowAxis axis;
    axis.in = x[static_cast<int>(i) + 2];
    axis.kernel = kernel[i];
    axis.stride = strides[i];
    axis.dilation = dilations[i];
    if (axis.kernel < 1 || axis.kernel > kMost || axis.in > kMost) run.fail({"a size is out of range"});
    if (auto_pad == "NOTSET") {
      axis.pad_begin = pads[i];
      axis.pad_end = pads[i + count];
    }
    place(axis, auto_pad, run.attributes().flag("ceil_mode"));
    if (__builtin_mul_overflow(window.taps, axis.kernel, &window.taps) || window.taps > kMost ||
        __builtin_mul_overflow(window.positions, axis.out, &window.positions)) {
      run.fail({"its result or its kernel is too large"});
    }
    window.axes.push_back(axis);
  }
  return window;
}

int64_t positions_at_once(const Window& window) {
  constexpr int64_t kTable = 1 << 18, kLeast = 16;
  return std::clamp<int64_t>(kTable / window.taps / kLeast * kLeast, kLeast, 1024);
}

void window_sources(const Window& window, int64_t first, int64_t count, int64_t* sources) {
  std::fill_n(sources, window.taps * count, int64_t{0});
  int64_t behind_out = window.positions, behind_taps = window.taps, plane = window.in_elements();
  for (const WindowAxis& axis : window.axes) {
    behind_out /= std::max<int64_t>(1, axis.out);
    behind_taps /= axis.kernel;
    plane /= std::max<int64_t>(1, axis.in);
    for (int64_t tap = 0; tap < window.taps; ++tap) {
      const int64_t offset = tap / behind_taps % axis.kernel * axis.dilation - axis.pad_begin;
      int64_t* to = sources + tap * count;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = (first + i) / behind_out % axis.out * axis.stride + offset;
        if (at >= axis.in + axis.pad_end) {
          to[i] = kOutside;
        } else if (to[i] >= 0) {
          to[i] = at < 0 || at >= axis.in ? kPadding : to[i] + at * plane;
        }
      }
    }
  }
}

}  // namespace anyon::graph
