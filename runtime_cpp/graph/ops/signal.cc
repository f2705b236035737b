// Signals: Fourier transforms by their definition, and the mel filter bank.
#include <cmath>
#include <cstring>
#include <numbers>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// The n-th roots of 1: (cos, sin) of 2 pi k / n.
std::vector<std::pair<double, double>> roots_of_unity(int64_t n) {
  std::vector<std::pair<double, double>> roots(static_cast<size_t>(n));
  for (size_t k = 0; k < roots.size(); ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
    roots[k] = {std::cos(angle), std::sin(angle)};
  }
  return roots;
}

void dft(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF64);
  const int rank = x.shape.rank();
  if (rank < 2 || (x.shape[rank - 1] != 1 && x.shape[rank - 1] != 2))
    run.fail({"its last axis is not (re) or (re, im)"});
  const int64_t named = run.has(2) ? run.integer(2) : run.attributes().integer("axis", run.opset() >= 20 ? -2 : 1);
  const int axis = axis_of(run, named, rank);
  if (axis == rank - 1) run.fail({"its axis is that of real and imaginary parts"});
  const bool inverse = run.attributes().flag("inverse"), onesided = run.attributes().flag("onesided");
  const int64_t parts = x.shape[rank - 1];
  // The inverse of one side takes half a spectrum and gives real numbers.
  const bool to_real = inverse && onesided;
  const int64_t length = run.has(1) ? run.integer(1) : to_real ? 2 * (x.shape[axis] - 1) : x.shape[axis];
  if (length < 1 || length > int64_t{1} << 31) run.fail({"its length is out of range"});
  Shape shape = x.shape;
  shape[axis] = onesided && !inverse ? length / 2 + 1 : length;
  shape[rank - 1] = to_real ? 1 : 2;
  const Tensor y = run.scratch(DType::kF64, shape);
  const AxisView view(x.shape, axis);
  const int64_t inner = view.inner / parts, out = shape[axis], out_parts = shape[rank - 1];
  run.expect_room(2 * length);
  const auto roots = roots_of_unity(length);
  const double scale = inverse ? 1 / static_cast<double>(length) : 1;
  const int64_t known = std::min(view.size, to_real ? length / 2 + 1 : length);
  parallel_for(run.pool(), view.outer * inner, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t o = line / inner, i = line % inner;
      for (int64_t k = 0; k < out; ++k) {
        double re = 0, im = 0;
        for (int64_t t = 0; t < known; ++t) {
          const double* from = x.as<const double>() + ((o * view.size + t) * inner + i) * parts;
          const double a = from[0], b = parts == 2 ? from[1] : 0;
          const auto& [cosine, raw] = roots[static_cast<size_t>(k * t % length)];
          const double sine = inverse ? raw : -raw;
          // Both halves of the spectrum of a real signal: a bin and its conjugate, the first and the middle one alone.
          const double times = to_real && t != 0 && 2 * t != length ? 2 : 1;
          re += times * (a * cosine - b * sine);
          im += a * sine + b * cosine;
        }
        double* to = y.as<double>() + ((o * out + k) * inner + i) * out_parts;
        to[0] = re * scale;
        if (out_parts == 2) to[1] = im * scale;
      }
    }
  });
  run.give(0, y, dtype);
}

void stft(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF64);
  const int64_t step = run.integer(1);
  const Tensor window = run.has(2) ? run.input_as(2, DType::kF64) : Tensor();
  const int64_t size = run.has(3) ? run.integer(3) : window.defined ? window.elements() : 0;
  const bool onesided = run.attributes().flag("onesided", true);
  if (x.shape.rank() < 2 || x.shape.rank() > 3 || step < 1 || size < 1 || size > int64_t{1} << 31 ||
      (window.defined && window.elements() > size)) {
    run.fail({"its inputs do not fit each other"});
  }
  const int64_t batch = x.shape[0], length = x.shape[1], parts = x.shape.rank() == 3 ? x.shape[2] : 1;
  if (length < size || (parts != 1 && parts != 2)) run.fail({"its signal is shorter than a frame"});
  const int64_t frames = (length - size) / step + 1, bins = onesided ? size / 2 + 1 : size;
  const Tensor y = run.scratch(DType::kF64, {batch, frames, bins, 2});
  run.expect_room(3 * size);
  const auto roots = roots_of_unity(size);
  // A shorter window lies in the middle of the frame.
  std::vector<double> weights(static_cast<size_t>(size), window.defined ? 0.0 : 1.0);
  if (window.defined) {
    std::copy_n(window.as<const double>(), window.elements(), weights.begin() + (size - window.elements()) / 2);
  }
  parallel_for(run.pool(), batch * frames, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin; at < end; ++at) {
      const double* from = x.as<const double>() + (at / frames * length + at % frames * step) * parts;
      for (int64_t k = 0; k < bins; ++k) {
        double re = 0, im = 0;
        for (int64_t t = 0; t < size; ++t) {
          const double a = from[t * parts] * weights[static_cast<size_t>(t)];
          const double b = parts == 2 ? from[t * parts + 1] * weights[static_cast<size_t>(t)] : 0;
          const auto& [cosine, sine] = roots[static_cast<size_t>(k * t % size)];
          re += a * cosine + b * sine;
          im += b * cosine - a * sine;
        }
        y.as<double>()[(at * bins + k) * 2] = re;
        y.as<double>()[(at * bins + k) * 2 + 1] = im;
      }
    }
  });
  run.give(0, y, dtype);
}

// Triangles that are equally wide on the mel scale.
void mel_weight_matrix(Run& run) {
  const int64_t mels = run.integer(0), size = run.integer(1);
  const double rate = run.number(2), low = run.number(3), high = run.number(4);
  if (mels < 0 || size < 1 || mels > 1 << 20 || size > int64_t{1} << 31 || !(rate > 0) || !(low >= 0) ||
      !(high > low)) {
    run.fail({"an input is out of range"});
  }
  const auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const int64_t bins = size / 2 + 1;
  const double least = to_mel(low), width = (to_mel(high) - least) / static_cast<double>(mels + 2);
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < mels + 2; ++i) {
    const double hertz = 700 * (std::pow(10.0, (least + static_cast<double>(i) * width) / 2595) - 1);
    const double edge = std::floor(static_cast<double>(size + 1) * hertz / rate);
    edges.push_back(std::min(number_cast<int64_t>(edge), size + 1));
  }
  const Tensor y = run.scratch(DType::kF32, {bins, mels});
  std::fill_n(y.as<float>(), y.elements(), 0.0f);
  const auto put = [&](int64_t bin, int64_t mel, double value) {
    if (bin >= 0 && bin < bins) y.as<float>()[bin * mels + mel] = static_cast<float>(value);
  };
  for (int64_t mel = 0; mel < mels; ++mel) {
    const auto i = static_cast<size_t>(mel);
    const int64_t left = edges[i], centre = edges[i + 1], right = std::min(edges[i + 2], bins);
    if (left == centre) put(centre, mel, 1);
    for (int64_t bin = std::max<int64_t>(0, left); bin <= std::min(centre, bins - 1) && centre > left; ++bin) {
      put(bin, mel, static_cast<double>(bin - left) / static_cast<double>(centre - left));
    }
    for (int64_t bin = std::max<int64_t>(0, centre); bin < right && edges[i + 2] > centre; ++bin) {
      put(bin, mel, static_cast<double>(edges[i + 2] - bin) / static_cast<double>(edges[i + 2] - centre));
    }
  }
  const std::string name = run.attributes().text("output_datatype", "f32");
  if (name != "f32" && name != "f64" && name != "f16") run.unsupported({"the type '", name, "'"});
  run.give(0, y, name == "f32" ? DType::kF32 : name == "f64" ? DType::kF64 : DType::kF16);
}

constexpr OpRow kRows[] = {
    {"DFT", 17, 1, 3, 1, dft, "axis inverse onesided"},
    {"MelWeightMatrix", 17, 5, 5, 1, mel_weight_matrix, "output_datatype"},
    {"STFT", 17, 2, 4, 1, stft, "onesided"},
};

}  // namespace

extern const std::span<const OpRow> signal_ops;
constinit const std::span<const OpRow> signal_ops = kRows;

}  // namespace anyon::graph
