// Where each window of a zero-padded signal lies: in the signal itself, or in a padded copy of one of its ends.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv1d/conv1d.h"

namespace anyon {

class ConvWindows {
 public:
  // Copies the padded ends into `workspace` (conv1d_workspace_bytes); both must outlive this.
  ConvWindows(const Conv1dArgs& args, void* workspace) : args_(args), padded_(static_cast<float*>(workspace)) {
    const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
    first_ = std::min((args.padding + args.stride - 1) / args.stride, time_out);
    const int64_t room = args.time + args.padding - args.kernel;  // last start of a window that ends inside, padded
    last_ = std::clamp(room < 0 ? 0 : room / args.stride + 1, first_, time_out);
    left_frames_ = first_ == 0 ? 0 : (first_ - 1) * args.stride + args.kernel;
    right_frames_ = last_ == time_out ? 0 : (time_out - 1 - last_) * args.stride + args.kernel;
    padded_size_ = (left_frames_ + right_frames_) * args.cin;
    for (int64_t batch = 0; batch < args.batch; ++batch) {
      const float* x = args.x + batch * args.time * args.cin;
      float* left = padded_ + batch * padded_size_;
      copy_padded(x, -args.padding, left_frames_, left);
      copy_padded(x, last_ * args.stride - args.padding, right_frames_, left + left_frames_ * args.cin);
    }
  }

  // The kernel * cin values that output t of this batch row sees.
  const float* at(int64_t batch, int64_t t) const {
    const float* left = padded_ + batch * padded_size_;
    if (t < first_) return left + t * args_.stride * args_.cin;
    if (t < last_) return args_.x + (batch * args_.time + t * args_.stride - args_.padding) * args_.cin;
    return left + (left_frames_ + (t - last_) * args_.stride) * args_.cin;
  }

 private:
  // `frames` frames from `begin` on (may be negative), zeros outside the signal.
  void copy_padded(const float* x, int64_t begin, int64_t frames, float* to) const {
    if (frames == 0 || args_.cin == 0) return;
    const int64_t start = std::clamp<int64_t>(-begin, 0, frames);
    const int64_t end = std::clamp<int64_t>(args_.time - begin, start, frames);
    const size_t frame_bytes = static_cast<size_t>(args_.cin) * sizeof(float);
    std::memset(to, 0, static_cast<size_t>(start) * frame_bytes);
    if (end > start) {
      std::memcpy(to + start * args_.cin, x + (begin + start) * args_.cin,
                  static_cast<size_t>(end - start) * frame_bytes);
    }
    std::memset(to + end * args_.cin, 0, static_cast<size_t>(frames - end) * frame_bytes);
  }

  const Conv1dArgs& args_;
  float* padded_;
  int64_t first_ = 0, last_ = 0;  // outputs [first_, last_) have their window inside the signal
  int64_t left_frames_ = 0, right_frames_ = 0, padded_size_ = 0;
};

}  // namespace anyon
