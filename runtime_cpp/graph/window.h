// Windows that slide over the spatial axes of (batch, channels, ...): what convolution and pooling share.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/run.h"

namespace anyon::graph {

struct WindowAxis {
  int64_t in = 0, out = 0;
  int64_t kernel = 1, stride = 1, dilation = 1;
  int64_t pad_begin = 0, pad_end = 0;
};

struct Window {
  std::vector<WindowAxis> axes;
  int64_t taps = 1;       // elements of the kernel
  int64_t positions = 1;  // of the window: elements of a channel's result

  int64_t in_elements() const;
  // `outer` axes (batch, channels) and then the spatial sizes of the result.
  Shape result(int64_t batch, int64_t channels) const;
};

// Reads auto_pad, pads, strides, dilations and ceil_mode; sizes of the result follow. Fails for what is out of range.
Window window_of(const Run& run, const Shape& x, const std::vector<int64_t>& kernel);

// The kernel's sizes from 'kernel_shape', or from the spatial axes of the weight.
std::vector<int64_t> kernel_of(const Run& run, const Shape* weight);

inline constexpr int64_t kPadding = -1;  // a tap that reads padding
inline constexpr int64_t kOutside = -2;  // beyond it (a last window of ceil_mode)

// For every tap and each of `count` positions from `first` on: the element of the channel it reads, or one of the
// constants above, at sources[tap * count + position].
void window_sources(const Window& window, int64_t first, int64_t count, int64_t* sources);

// Positions that window_sources() can be asked for at once within a reasonable table.
int64_t positions_at_once(const Window& window);

}  // namespace anyon::graph
