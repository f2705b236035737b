// A two-layer Whisper-shaped decoder with random weights: as a bundle for the executor, and as plain loops in double
// precision that recompute every position from the first token, without caches, kernels or plans.
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "bundle_writer.h"

namespace anyon::testing {

class TinyDecoder {
 public:
  static constexpr int64_t kLayers = 2, kVocab = 37, kWidth = 24, kHeads = 3, kHeadDim = 8, kHidden = 40, kContext = 32;
  using Matrix = std::vector<std::vector<double>>;  // rows of positions

  explicit TinyDecoder(unsigned seed = 1) : random_(seed) {
    weight("embed", kVocab, kWidth);
    weight("positions", kContext, kWidth);
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string at = "blocks." + std::to_string(layer);
      weight(at + ".ln1.scale", 1, kWidth, 1.0), weight(at + ".ln1.bias", 1, kWidth);
      weight(at + ".qkv", 3 * kWidth, kWidth), weight(at + ".qkv.bias", 1, 3 * kWidth);
      weight(at + ".out", kWidth, kWidth), weight(at + ".out.bias", 1, kWidth);
      weight(at + ".ln2.scale", 1, kWidth, 1.0), weight(at + ".ln2.bias", 1, kWidth);
      weight(at + ".query", kWidth, kWidth), weight(at + ".query.bias", 1, kWidth);
      weight(at + ".cross_out", kWidth, kWidth), weight(at + ".cross_out.bias", 1, kWidth);
      weight(at + ".ln3.scale", 1, kWidth, 1.0), weight(at + ".ln3.bias", 1, kWidth);
      weight(at + ".up", kHidden, kWidth), weight(at + ".up.bias", 1, kHidden);
      weight(at + ".down", kWidth, kHidden), weight(at + ".down.bias", 1, kWidth);
    }
    weight("ln.scale", 1, kWidth, 1.0), weight("ln.bias", 1, kWidth);
  }

  std::vector<float> random_values(int64_t count) {
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }

  BundleWriter writer() const {
    BundleWriter writer;
    for (const auto& [name, w] : weights_) {
      if (w.rows == 1) {
        writer.add(name, {w.columns}, w.values);
      } else if (name == "positions") {
        writer.add(name, {w.rows, w.columns}, w.values);
      } else {
        writer.add_panel16(name, w.rows, w.columns, w.values);
      }
    }
    writer.manifest["programs"]["decoder"] = program();
    return writer;
  }

  static nlohmann::json program() {
    using Json = nlohmann::json;
    Json ops = Json::array(), inputs = Json::array(), outputs = Json::array(), states = Json::array();
    const auto op = [&](const char* type, const std::string& output, const Json& in, const Json& attrs) {
      ops.push_back(
          {{"op", type}, {"name", "tiny." + output}, {"inputs", in}, {"outputs", {output}}, {"attrs", attrs}});
      return output;
    };
    const auto linear = [&](const std::string& out, const std::string& x, const std::string& w, int64_t n, int64_t k,
                            const std::string& residual = "", const char* activation = "none") {
      return op("linear", out, {x, w, w + ".bias", residual}, {{"k", k}, {"n", n}, {"activation", activation}});
    };
    const auto norm = [&](const std::string& out, const std::string& x, const std::string& w) {
      return op("layer_norm", out, {x, w + ".scale", w + ".bias"}, {{"epsilon", 1e-5}});
    };
    inputs.push_back({{"name", "tokens"}, {"dtype", "i64"}, {"shape", {"batch", "time"}}});
    inputs.push_back({{"name", "positions_in"}, {"dtype", "i64"}, {"shape", {"batch", "time"}}});
    inputs.push_back({{"name", "select"}, {"dtype", "i64"}, {"shape", {"rows"}}});
    op("embedding", "e", {"tokens", "embed"}, {{"rows", kVocab}, {"width", kWidth}, {"layout", "panel16"}});
    op("embedding", "p", {"positions_in", "positions"}, {{"rows", kContext}, {"width", kWidth}, {"layout", "rows"}});
    std::string x = op("add", "x0", {"e", "p"}, Json::object());
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string i = std::to_string(layer), at = "blocks." + i;
      for (const char* kind : {"key", "value"}) {
        inputs.push_back({{"name", "cross_" + std::string(kind) + "_" + i},
                          {"dtype", "f32"},
                          {"shape", {"batch", kHeads, "frames", kHeadDim}},
                          {"broadcast", true}});
        states.push_back({{"name", "self_" + std::string(kind) + "_" + i},
                          {"dtype", "f32"},
                          {"shape", {"batch", kHeads, "past", kHeadDim}},
                          {"kind", "append"},
                          {"axis", 2},
                          {"capacity", kContext}});
      }
      Json attrs = {{"heads", kHeads}, {"head_dim", kHeadDim}, {"scale", scale()}};
      Json self = attrs;
      self.update({{"causal", true}, {"k_offset", kWidth}, {"v_offset", 2 * kWidth}});
      self.update({{"key_state", "self_key_" + i}, {"value_state", "self_value_" + i}});
      norm("a" + i, x, at + ".ln1");
      linear("qkv" + i, "a" + i, at + ".qkv", 3 * kWidth, kWidth);
      op("attention", "s" + i, {"qkv" + i, "qkv" + i, "qkv" + i}, self);
      x = linear("x1" + i, "s" + i, at + ".out", kWidth, kWidth, x);
      norm("b" + i, x, at + ".ln2");
      linear("cross_query_" + i, "b" + i, at + ".query", kWidth, kWidth);
      op("attention", "c" + i, {"cross_query_" + i, "cross_key_" + i, "cross_value_" + i}, attrs);
      x = linear("x2" + i, "c" + i, at + ".cross_out", kWidth, kWidth, x);
      norm("d" + i, x, at + ".ln3");
      linear("h" + i, "d" + i, at + ".up", kHidden, kWidth, "", "gelu");
      x = linear("x3" + i, "h" + i, at + ".down", kWidth, kHidden, x);
    }
    norm("n", x, "ln");
    op("gather", "g", {"n", "select"}, {{"axis", 1}});
    op("linear", "logits", {"g", "embed", "", ""}, {{"k", kWidth}, {"n", kVocab}, {"activation", "none"}});
    outputs.push_back({{"name", "logits"}, {"dtype", "f32"}, {"shape", {"batch", "rows", kVocab}}});
    outputs.push_back({{"name", "cross_query_1"}, {"dtype", "f32"}, {"shape", {"batch", "time", kWidth}}});
    return {{"dims",
             {{"batch", {1, 8}},
              {"time", {1, kContext}},
              {"past", {0, kContext}},
              {"rows", {1, kContext}},
              {"frames", {1, 20}}}},
            {"inputs", inputs},
            {"outputs", outputs},
            {"states", states},
            {"ops", ops}};
  }

  // Logits after every position of `tokens`; `cross[layer]` holds keys then values, each (heads, frames, head_dim).
  Matrix logits(const std::vector<int64_t>& tokens, const std::vector<std::vector<float>>& cross,
                int64_t frames) const {
    Matrix x;
    for (size_t t = 0; t < tokens.size(); ++t) {
      std::vector<double> row;
      for (int64_t c = 0; c < kWidth; ++c) {
        row.push_back(static_cast<double>(at("embed", tokens[t], c)) + at("positions", static_cast<int64_t>(t), c));
      }
      x.push_back(row);
    }
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string name = "blocks." + std::to_string(layer);
      const Matrix qkv = linear(norm(x, name + ".ln1"), name + ".qkv");
      const Matrix self = attend(
          columns(qkv, 0), tokens.size(), [&](size_t j, int64_t c) { return qkv[j][static_cast<size_t>(kWidth + c)]; },
          [&](size_t j, int64_t c) { return qkv[j][static_cast<size_t>(2 * kWidth + c)]; }, true);
      add(x, linear(self, name + ".out"));
      const std::vector<float>& keys = cross[static_cast<size_t>(2 * layer)];
      const std::vector<float>& values = cross[static_cast<size_t>(2 * layer + 1)];
      const auto element = [&](const std::vector<float>& from, size_t j, int64_t c) {
        const int64_t head = c / kHeadDim;
        return static_cast<double>(
            from[static_cast<size_t>((head * frames + static_cast<int64_t>(j)) * kHeadDim + c % kHeadDim)]);
      };
      const Matrix seen = attend(
          linear(norm(x, name + ".ln2"), name + ".query"), static_cast<size_t>(frames),
          [&](size_t j, int64_t c) { return element(keys, j, c); },
          [&](size_t j, int64_t c) { return element(values, j, c); }, false);
      add(x, linear(seen, name + ".cross_out"));
      Matrix hidden = linear(norm(x, name + ".ln3"), name + ".up");
      for (auto& row : hidden) {
        for (double& h : row) h = 0.5 * h * (1 + std::erf(h / std::sqrt(2.0)));
      }
      add(x, linear(hidden, name + ".down"));
    }
    return linear(norm(x, "ln"), "embed");
  }

 private:
  struct Weight {
    int64_t rows, columns;
    std::vector<float> values;
  };

  static double scale() { return 1.0 / std::sqrt(static_cast<double>(kHeadDim)); }

  void weight(const std::string& name, int64_t rows, int64_t columns, double mean = 0.0) {
    Weight w{rows, columns, random_values(rows * columns)};
    for (float& value : w.values) value = static_cast<float>(mean + 0.3 * value);
    weights_.emplace(name, std::move(w));
  }

  double at(const std::string& name, int64_t row, int64_t column) const {
    const Weight& w = weights_.at(name);
    return w.values[static_cast<size_t>(row * w.columns + column)];
  }

  static Matrix columns(const Matrix& x, int64_t begin) {
    Matrix y;
    for (const auto& row : x) y.emplace_back(row.begin() + begin, row.begin() + begin + kWidth);
    return y;
  }

  static void add(Matrix& x, const Matrix& y) {
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t c = 0; c < x[t].size(); ++c) x[t][c] += y[t][c];
    }
  }

  Matrix linear(const Matrix& x, const std::string& name) const {
    const Weight& w = weights_.at(name);
    const bool biased = weights_.count(name + ".bias") != 0;
    Matrix y;
    for (const auto& row : x) {
      std::vector<double> out;
      for (int64_t n = 0; n < w.rows; ++n) {
        double sum = biased ? at(name + ".bias", 0, n) : 0.0;
        for (int64_t k = 0; k < w.columns; ++k) sum += row[static_cast<size_t>(k)] * at(name, n, k);
        out.push_back(sum);
      }
      y.push_back(out);
    }
    return y;
  }

  Matrix norm(const Matrix& x, const std::string& name) const {
    Matrix y;
    for (const auto& row : x) {
      double mean = 0, variance = 0;
      for (const double v : row) mean += v / static_cast<double>(row.size());
      for (const double v : row) variance += (v - mean) * (v - mean) / static_cast<double>(row.size());
      std::vector<double> out;
      for (size_t c = 0; c < row.size(); ++c) {
        const auto column = static_cast<int64_t>(c);
        out.push_back((row[c] - mean) / std::sqrt(variance + 1e-5) * at(name + ".scale", 0, column) +
                      at(name + ".bias", 0, column));
      }
      y.push_back(out);
    }
    return y;
  }

  template <class Key, class Value>
  Matrix attend(const Matrix& q, size_t length, Key key, Value value, bool causal) const {
    Matrix y(q.size(), std::vector<double>(kWidth, 0.0));
    for (size_t t = 0; t < q.size(); ++t) {
      const size_t visible = causal ? t + 1 : length;
      for (int64_t head = 0; head < kHeads; ++head) {
        std::vector<double> weights;
        double sum = 0;
        for (size_t j = 0; j < visible; ++j) {
          double dot = 0;
          for (int64_t c = head * kHeadDim; c < (head + 1) * kHeadDim; ++c) {
            dot += q[t][static_cast<size_t>(c)] * key(j, c);
          }
          weights.push_back(std::exp(dot * scale()));
          sum += weights.back();
        }
        for (size_t j = 0; j < visible; ++j) {
          for (int64_t c = head * kHeadDim; c < (head + 1) * kHeadDim; ++c) {
            y[t][static_cast<size_t>(c)] += weights[j] / sum * value(j, c);
          }
        }
      }
    }
    return y;
  }

  std::mt19937 random_;
  std::map<std::string, Weight> weights_;
};

}  // namespace anyon::testing
