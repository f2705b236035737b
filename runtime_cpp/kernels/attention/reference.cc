// attention in plain loops, accumulating in double. Allocates one row of scores.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"

namespace anyon::reference {
namespace {

// One query: y = softmax(q . k_j * scale) v over the first `visible` keys.
void attend(const AttentionArgs& args, const float* q, const float* k, const float* v, int64_t visible, float* y,
            std::vector<double>& row) {
  double maximum = -INFINITY;
  for (int64_t j = 0; j < visible; ++j) {
    double dot = 0.0;
    for (int64_t i = 0; i < args.head_dim; ++i) dot += static_cast<double>(q[i]) * k[j * args.k_strides.time + i];
    row[static_cast<size_t>(j)] = dot * args.scale;
    maximum = std::max(maximum, dot * args.scale);
  }
  double total = 0.0;
  for (int64_t j = 0; j < visible; ++j) {
    const double weight = std::exp(row[static_cast<size_t>(j)] - maximum);
    row[static_cast<size_t>(j)] = weight;
    total += weight;
  }
  // Doubles on the side, because y may be q.
  std::vector<double> sum(static_cast<size_t>(args.head_dim), 0.0);
  for (int64_t j = 0; j < visible; ++j) {
    for (int64_t i = 0; i < args.head_dim; ++i) {
      sum[static_cast<size_t>(i)] += row[static_cast<size_t>(j)] * v[j * args.v_strides.time + i];
    }
  }
  for (int64_t i = 0; i < args.head_dim; ++i) {
    y[i] = visible == 0 ? 0.0f : static_cast<float>(sum[static_cast<size_t>(i)] / total);
  }
}

}  // namespace

void attention(const AttentionArgs& args) {
  std::vector<double> row(static_cast<size_t>(args.kv_len));
  for (int64_t b = 0; b < args.batch; ++b) {
    const int64_t kv = b / (args.batch / args.kv_batch);
    for (int64_t h = 0; h < args.heads; ++h) {
      const float* k = args.k + kv * args.k_strides.batch + h * args.k_strides.head;
      const float* v = args.v + kv * args.v_strides.batch + h * args.v_strides.head;
      for (int64_t i = 0; i < args.q_len; ++i) {
        const int64_t visible = args.causal ? std::clamp<int64_t>(args.past + i + 1, 0, args.kv_len) : args.kv_len;
        attend(args, args.q + b * args.q_strides.batch + i * args.q_strides.time + h * args.q_strides.head, k, v,
               visible, args.y + b * args.y_strides.batch + i * args.y_strides.time + h * args.y_strides.head, row);
      }
    }
  }
}

}  // namespace anyon::reference
