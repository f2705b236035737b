// RNN, GRU and LSTM. Inputs of all steps are multiplied at once, then time goes on step by step.
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/product.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

using Activation = float (*)(float);

Activation activation_of(const Run& run, const std::string& name) {
  if (name == "Sigmoid") return [](float x) { return 1 / (1 + std::exp(-x)); };
  if (name == "Tanh") return [](float x) { return std::tanh(x); };
  if (name == "Relu") return [](float x) { return x > 0 ? x : 0; };
  run.unsupported({"the activation '", name, "'"});
}

// What the three ops have in common; all tensors are f32.
struct Recurrence {
  static constexpr size_t kMaxActivations = 3;

  int64_t directions = 1, hidden = 0, times = 0, batch = 0, width = 0, gates = 0;
  bool batch_first = false, backwards_only = false;
  std::vector<int64_t> lengths;
  std::vector<std::array<Activation, kMaxActivations>> activations;  // by direction
  float clip = 0;                                                    // 0: none
  Tensor x, weight, recurrent, bias;

  Recurrence(Run& run, int64_t gate_count, const std::vector<std::string>& defaults) : gates(gate_count) {
    const Attributes& attributes = run.attributes();
    x = run.input_as(0, DType::kF32);
    weight = run.input_as(1, DType::kF32);
    recurrent = run.input_as(2, DType::kF32);
    const std::string direction = attributes.text("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
      run.fail({"'direction' is not known"});
    }
    directions = direction == "bidirectional" ? 2 : 1;
    backwards_only = direction == "reverse";
    batch_first = attributes.flag("layout");
    clip = static_cast<float>(attributes.number("clip", 0));
    if (x.shape.rank() != 3 || weight.shape.rank() != 3 || recurrent.shape.rank() != 3)
      run.fail({"an input is not of rank 3"});
    hidden = attributes.integer("hidden_size", recurrent.shape[2]);
    times = x.shape[batch_first ? 1 : 0];
    batch = x.shape[batch_first ? 0 : 1];
    width = x.shape[2];
    if (hidden != recurrent.shape[2]) run.fail({"'hidden_size' does not fit its weights"});
    if (!(weight.shape == Shape{directions, gates * hidden, width}) ||
        !(recurrent.shape == Shape{directions, gates * hidden, hidden})) {
      run.fail({"its weights do not fit its input"});
    }
    if (run.has(3)) {
      bias = run.input_as(3, DType::kF32);
      if (bias.elements() != directions * 2 * gates * hidden) run.fail({"its bias does not fit its weights"});
    }
    int64_t room = 0;
    if (__builtin_mul_overflow(batch, 4 * directions * std::max<int64_t>(1, hidden), &room))
      run.fail({"it is too large"});
    run.expect_room(room);
    lengths = run.integers(4);
    if (lengths.empty()) lengths.assign(static_cast<size_t>(batch), times);
    if (static_cast<int64_t>(lengths.size()) != batch) run.fail({"it has another number of lengths than rows"});
    for (const int64_t length : lengths) {
      if (length < 0 || length > times) run.fail({"a length is outside the time axis"});
    }
    const std::span<const std::string> named = attributes.texts("activations");
    for (int64_t d = 0; d < directions; ++d) {
      auto& row = activations.emplace_back();
      for (size_t i = 0; i < defaults.size(); ++i) {
        const size_t at = static_cast<size_t>(d) * defaults.size() + i;
        row[i] = activation_of(run, at < named.size() ? named[at] : defaults[i]);
      }
    }
  }

  bool backwards(int64_t direction) const { return backwards_only || direction == 1; }

  // The time that row b reads at a step, or -1 when its sequence is over.
  int64_t time_of(int64_t direction, int64_t b, int64_t step) const {
    const int64_t length = lengths[static_cast<size_t>(b)];
    return step >= length ? -1 : backwards(direction) ? length - 1 - step : step;
  }
  int64_t row_of(int64_t b, int64_t time) const { return batch_first ? b * times + time : time * batch + b; }

  // One number for each gate's unit, or 0: half 0 is the input's bias, half 1 the recurrent one.
  float bias_of(int64_t direction, int64_t half, int64_t unit) const {
    return bias.defined ? bias.as<const float>()[(direction * 2 + half) * gates * hidden + unit] : 0;
  }

  float clipped(float value) const { return clip > 0 ? std::max(-clip, std::min(clip, value)) : value; }

  // (batch, hidden) of a direction, from an input (or zeros); batch first where the layout says so.
  std::vector<float> state(Run& run, int input, int64_t direction) const {
    std::vector<float> values(static_cast<size_t>(batch * hidden), 0.0f);
    if (!run.has(input)) return values;
    const Tensor initial = run.input_as(input, DType::kF32);
    if (initial.elements() != directions * batch * hidden) run.fail({"an initial state does not fit"});
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t row = batch_first ? b * directions + direction : direction * batch + b;
      std::copy_n(initial.as<const float>() + row * hidden, hidden, values.begin() + b * hidden);
    }
    return values;
  }

  Shape state_shape() const {
    return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  }
  Shape output_shape() const {
    return batch_first ? Shape{batch, times, directions, hidden} : Shape{times, directions, batch, hidden};
  }
  float* output_at(const Tensor& y, int64_t direction, int64_t b, int64_t time) const {
    const int64_t row =
        batch_first ? (b * times + time) * directions + direction : (time * directions + direction) * batch + b;
    return y.as<float>() + row * hidden;
  }
  void put_state(const Tensor& y, int64_t direction, const std::vector<float>& values) const {
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t row = batch_first ? b * directions + direction : direction * batch + b;
      std::copy_n(values.begin() + b * hidden, hidden, y.as<float>() + row * hidden);
    }
  }

  // Calls cell(b, from the input, from the state before, state) for every row of every step. The second is h R^T
  // without bias; `state` is (hidden), to be replaced.
  template <class Cell>
  void walk(Run& run, int64_t direction, const Tensor& y, std::vector<float>& h, Cell cell) const {
    const int64_t n = gates * hidden;
    const Tensor packed_x = pack_columns(run, weight.as<const float>() + direction * n * width, width, n, 1, width);
    const Tensor packed_h =
        pack_columns(run, recurrent.as<const float>() + direction * n * hidden, hidden, n, 1, hidden);
    const Tensor all = run.scratch(DType::kF32, {times * batch, n}), before = run.scratch(DType::kF32, {batch, n});
    multiply(run, x.as<const float>(), width, packed_x.as<const float>(), all.as<float>(), n, times * batch, n, width);
    for (int64_t step = 0; step < times; ++step) {
      multiply(run, h.data(), hidden, packed_h.as<const float>(), before.as<float>(), n, batch, n, hidden);
      for (int64_t b = 0; b < batch; ++b) {
        const int64_t time = time_of(direction, b, step);
        if (time < 0) continue;
        cell(b, all.as<float>() + row_of(b, time) * n, before.as<const float>() + b * n, h.data() + b * hidden);
        std::copy_n(h.begin() + b * hidden, hidden, output_at(y, direction, b, time));
      }
    }
  }
};

// Runs `make_cell(direction)` over both directions and gives Y and Y_h.
template <class MakeCell>
void run_directions(Run& run, const Recurrence& r, MakeCell make_cell) {
  const Tensor y = run.scratch(DType::kF32, r.output_shape()), last = run.scratch(DType::kF32, r.state_shape());
  std::fill_n(y.as<float>(), y.elements(), 0.0f);
  for (int64_t d = 0; d < r.directions; ++d) {
    std::vector<float> h = r.state(run, 5, d);
    r.walk(run, d, y, h, make_cell(d));
    r.put_state(last, d, h);
  }
  run.give(0, y, run.input(0).dtype);
  run.give(1, last, run.input(0).dtype);
}

void rnn(Run& run) {
  const Recurrence r(run, 1, {"Tanh"});
  run_directions(run, r, [&](int64_t d) {
    return [&r, d](int64_t, const float* input, const float* before, float* h) {
      for (int64_t j = 0; j < r.hidden; ++j) {
        const float sum = input[j] + before[j] + r.bias_of(d, 0, j) + r.bias_of(d, 1, j);
        h[j] = r.activations[static_cast<size_t>(d)][0](r.clipped(sum));
      }
    };
  });
}

void gru(Run& run) {
  const Recurrence r(run, 3, {"Sigmoid", "Tanh"});
  const bool linear_before_reset = run.attributes().flag("linear_before_reset");
  const int64_t n = r.hidden;
  run_directions(run, r, [&, n](int64_t d) {
    const auto& act = r.activations[static_cast<size_t>(d)];
    const float* rows = r.recurrent.as<const float>() + (d * 3 + 2) * n * n;  // of the candidate
    return [&r, &act, d, n, rows, linear_before_reset](int64_t, const float* input, const float* before, float* h) {
      const auto gate = [&](int64_t which, int64_t j) {
        const int64_t at = which * n + j;
        return act[0](r.clipped(input[at] + before[at] + r.bias_of(d, 0, at) + r.bias_of(d, 1, at)));
      };
      std::vector<float> reset(static_cast<size_t>(n)), next(static_cast<size_t>(n));
      for (int64_t j = 0; j < n; ++j) reset[static_cast<size_t>(j)] = gate(1, j);
      for (int64_t j = 0; j < n; ++j) {
        const int64_t at = 2 * n + j;
        float sum = input[at] + r.bias_of(d, 0, at);
        if (linear_before_reset) {
          sum += reset[static_cast<size_t>(j)] * (before[at] + r.bias_of(d, 1, at));
        } else {
          float product = 0;
          for (int64_t k = 0; k < n; ++k) product += reset[static_cast<size_t>(k)] * h[k] * rows[j * n + k];
          sum += product + r.bias_of(d, 1, at);
        }
        const float z = gate(0, j);
        next[static_cast<size_t>(j)] = (1 - z) * act[1](r.clipped(sum)) + z * h[j];
      }
      std::copy(next.begin(), next.end(), h);
    };
  });
}

void lstm(Run& run) {
  const Recurrence r(run, 4, {"Sigmoid", "Tanh", "Tanh"});
  if (run.attributes().flag("input_forget")) run.unsupported({"input_forget"});
  const int64_t n = r.hidden;
  const Tensor peep = run.has(7) ? run.input_as(7, DType::kF32) : Tensor();
  if (peep.defined && peep.elements() != r.directions * 3 * n) run.fail({"its peepholes do not fit"});
  const Tensor last = run.scratch(DType::kF32, r.state_shape());
  std::vector<std::vector<float>> cells;
  for (int64_t d = 0; d < r.directions; ++d) cells.push_back(r.state(run, 6, d));
  run_directions(run, r, [&, n](int64_t d) {
    const auto& act = r.activations[static_cast<size_t>(d)];
    std::vector<float>& cell = cells[static_cast<size_t>(d)];
    const float* p = peep.defined ? peep.as<const float>() + d * 3 * n : nullptr;
    return [&r, &act, &cell, p, d, n](int64_t b, const float* input, const float* before, float* h) {
      for (int64_t j = 0; j < n; ++j) {
        const auto sum = [&](int64_t which) {
          const int64_t at = which * n + j;
          return input[at] + before[at] + r.bias_of(d, 0, at) + r.bias_of(d, 1, at);
        };
        float& c = cell[static_cast<size_t>(b * n + j)];
        const float old = c;
        const float in = act[0](r.clipped(sum(0) + (p != nullptr ? p[j] * old : 0)));
        const float forget = act[0](r.clipped(sum(2) + (p != nullptr ? p[2 * n + j] * old : 0)));
        c = forget * old + in * act[1](r.clipped(sum(3)));
        const float out = act[0](r.clipped(sum(1) + (p != nullptr ? p[n + j] * c : 0)));
        h[j] = out * act[2](c);
      }
    };
  });
  for (int64_t d = 0; d < r.directions; ++d) r.put_state(last, d, cells[static_cast<size_t>(d)]);
  run.give(2, last, run.input(0).dtype);
}

constexpr OpRow kRows[] = {
    {"GRU", 7, 3, 6, 2, gru, "activations clip direction hidden_size layout linear_before_reset"},
    {"LSTM", 7, 3, 8, 3, lstm, "activations clip direction hidden_size input_forget layout"},
    {"RNN", 7, 3, 6, 2, rnn, "activations clip direction hidden_size layout"},
};

}  // namespace

extern const std::span<const OpRow> recurrent_ops;
constinit const std::span<const OpRow> recurrent_ops = kRows;

}  // namespace anyon::graph
