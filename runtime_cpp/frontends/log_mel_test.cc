// Log-mel features against transformers' and against the definition in double precision.
#include "frontends/log_mel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <sstream>

#include "core/status.h"
#include "core/threads.h"
#include "test_data.h"

namespace anyon {
namespace {

using Samples = std::vector<float>;

std::vector<float> features(const LogMel& mel, std::span<const float> samples, int64_t frames,
                            const LogMelOptions& options = {}, int threads = 1) {
  ThreadPool pool(threads);
  std::vector<float> out(static_cast<size_t>(mel.n_mels() * std::max<int64_t>(frames, 0)), -99.0F);
  mel.compute(samples, frames, out.data(), pool, options);
  return out;
}

// One frame by the definition: log10 of the mel power of 400 samples, double precision, no flooring to the maximum.
std::vector<double> exact_frame(const LogMel& mel, const std::vector<double>& samples) {
  const std::vector<float> filters = mel.filters();
  std::vector<double> bands(static_cast<size_t>(mel.n_mels()));
  std::vector<double> power(LogMel::kBins);
  for (int k = 0; k < LogMel::kBins; ++k) {
    std::complex<double> sum = 0;
    for (int n = 0; n < 400; ++n) {
      const double window = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * n / 400);
      sum += samples[n] * window * std::polar(1.0, -2 * std::numbers::pi * (n * k % 400) / 400);
    }
    power[k] = std::norm(sum);
  }
  for (size_t m = 0; m < bands.size(); ++m) {
    double sum = 0;
    for (int k = 0; k < LogMel::kBins; ++k) sum += filters[m * LogMel::kBins + k] * power[k];
    bands[m] = std::log10(std::max(sum, 1e-10));
  }
  return bands;
}

Status status_of(const LogMel& mel, std::span<const float> samples, int64_t frames, const LogMelOptions& options,
                 std::string* message = nullptr) {
  try {
    features(mel, samples, frames, options);
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.status();
  }
  return Status::kOk;
}

TEST(LogMel, AgreesWithTransformers) {
  const Samples signal = test_signal(40000);
  for (const int n_mels : {80, 128}) {
    const std::vector<float> ours = features(LogMel(n_mels), signal, 3000);
    int compared = 0;
    for (const std::string& line : data_lines("log_mel.tsv")) {
      const std::vector<std::string> fields = split(line, '\t');
      if (std::stoi(fields[0]) != n_mels) continue;
      const int frame = std::stoi(fields[1]);
      std::istringstream values(fields[2]);
      for (int band = 0; band < n_mels; ++band) {
        float expected = 0;
        values >> expected;
        ASSERT_TRUE(values);
        // Single precision transforms: a bin 80 dB below the window's maximum keeps about four digits.
        EXPECT_NEAR(ours[static_cast<size_t>(band) * 3000 + frame], expected, 3e-5) << "frame " << frame << " " << band;
        ++compared;
      }
    }
    EXPECT_EQ(compared, 14 * n_mels);
  }
}

TEST(LogMel, AgreesWithTheDefinitionForEveryKindOfFrame) {
  const Samples recording = test_signal(16000);
  const LogMel mel(80);
  // The window is [4000, 12000) of the recording; the reference maximum is low enough to floor nothing.
  LogMelOptions options;
  options.window_samples = 8000;
  options.left = std::span<const float>(recording).first(4000);
  options.right = std::span<const float>(recording).last(4000);
  const std::vector<float> ours = features(mel, std::span<const float>(recording).subspan(4000, 8000), 50, options);
  for (const int frame : {0, 1, 2, 24, 47, 48, 49}) {
    std::vector<double> samples(400);
    for (int n = 0; n < 400; ++n) samples[n] = recording[4000 + frame * 160 - 200 + n];
    const std::vector<double> expected = exact_frame(mel, samples);
    for (int band = 0; band < 80; ++band) {
      EXPECT_NEAR(ours[band * 50 + frame], (expected[band] + 4) / 4, 2e-5) << "frame " << frame << " band " << band;
    }
  }
}

TEST(LogMel, ReflectsOrZeroesBeyondTheEdges) {
  const Samples recording = test_signal(1600);
  const LogMel mel(80);
  for (const LogMelEdge edge : {LogMelEdge::kReflect, LogMelEdge::kZero}) {
    LogMelOptions options;
    options.window_samples = 1600;
    options.left_edge = options.right_edge = edge;
    const std::vector<float> ours = features(mel, recording, 10, options);
    for (const int frame : {0, 1, 9}) {
      std::vector<double> samples(400);
      for (int n = 0; n < 400; ++n) {
        int at = frame * 160 - 200 + n;
        const bool outside = at < 0 || at >= 1600;
        at = at < 0 ? -at : at >= 1600 ? 2 * 1599 - at : at;
        samples[n] = outside && edge == LogMelEdge::kZero ? 0.0 : recording[at];
      }
      const std::vector<double> expected = exact_frame(mel, samples);
      for (int band = 0; band < 80; ++band) EXPECT_NEAR(ours[band * 10 + frame], (expected[band] + 4) / 4, 2e-5);
    }
  }
}

TEST(LogMel, AWindowWithItsSurroundingsGivesTheFramesOfTheWholeRecording) {
  const Samples recording = test_signal(32000);
  const LogMel mel(80);
  LogMelOptions whole;
  whole.window_samples = 32000;
  whole.reference_max = 4.0F;  // the same floor for both
  const std::vector<float> expected = features(mel, recording, 200, whole);
  LogMelOptions part = whole;
  part.window_samples = 16000;
  part.left = std::span<const float>(recording).first(8000);
  part.right = std::span<const float>(recording).last(8000);
  const std::vector<float> ours = features(mel, std::span<const float>(recording).subspan(8000, 16000), 100, part);
  for (int band = 0; band < 80; ++band) {
    for (int frame = 0; frame < 100; ++frame) ASSERT_EQ(ours[band * 100 + frame], expected[band * 200 + 50 + frame]);
  }
  // A context shorter than half a frame is mirrored at the recording's own start.
  part.left = std::span<const float>(recording).first(160);
  const std::vector<float> early = features(mel, std::span<const float>(recording).subspan(160, 16000), 100, part);
  for (int band = 0; band < 80; ++band) {
    for (int frame = 0; frame < 50; ++frame) ASSERT_EQ(early[band * 100 + frame], expected[band * 200 + 1 + frame]);
  }
}

TEST(LogMel, EveryIsaAndThreadCountGivesTheSameBits) {
  const Samples signal = test_signal(123456);
  for (const int n_mels : {80, 128}) {
    const std::vector<float> expected = features(LogMel(n_mels, Isa::kScalar), signal, 2777);
    for (const Isa isa : supported_isas()) {
      for (const int threads : {1, 3}) {
        EXPECT_EQ(features(LogMel(n_mels, isa), signal, 2777, {}, threads), expected) << name(isa) << " " << threads;
      }
    }
  }
}

TEST(LogMel, PaddingCostsNothingAndChangesNothing) {
  const Samples signal = test_signal(5000);
  Samples padded = signal;
  padded.resize(480000);
  const LogMel mel(80);
  EXPECT_EQ(features(mel, signal, 3000), features(mel, padded, 3000));
  // Fewer frames are the first of all frames.
  const std::vector<float> all = features(mel, signal, 3000), few = features(mel, signal, 40);
  for (int band = 0; band < 80; ++band) EXPECT_EQ(few[band * 40 + 39], all[band * 3000 + 39]);
}

TEST(LogMel, SilenceIsTheConstantItIsInWhisper) {
  const LogMel mel(80);
  ThreadPool pool(1);
  for (const Samples& silence : {Samples{}, Samples(480000, 0.0F), Samples(1, 0.0F)}) {
    std::vector<float> out(80 * 3000);
    EXPECT_FLOAT_EQ(mel.compute(silence, 3000, out.data(), pool), -10.0F);
    for (const float value : out) ASSERT_FLOAT_EQ(value, -1.5F);  // (log10(1e-10) + 4) / 4
  }
}

TEST(LogMel, TheReferenceMaximumSetsTheFloor) {
  const Samples signal = test_signal(16000);
  const LogMel mel(80);
  ThreadPool pool(1);
  LogMelOptions options;
  std::vector<float> out(80 * 200);
  const float maximum = mel.compute(signal, 200, out.data(), pool, options);
  const auto [low, high] = std::minmax_element(out.begin(), out.end());
  EXPECT_FLOAT_EQ(*high, (maximum + 4) / 4);
  EXPECT_FLOAT_EQ(*low, (maximum - 8 + 4) / 4);
  options.reference_max = maximum + 2;
  EXPECT_EQ(mel.compute(signal, 200, out.data(), pool, options), maximum);
  EXPECT_FLOAT_EQ(*std::min_element(out.begin(), out.end()), (maximum + 2 - 8 + 4) / 4);
}

TEST(LogMel, TheLoudestAcceptedSamplesStayFinite) {
  for (const float value : features(LogMel(80), Samples(480000, 1e10F), 3000)) ASSERT_TRUE(std::isfinite(value));
}

TEST(LogMel, BadSamplesAreRefusedByIndex) {
  const LogMel mel(80);
  Samples signal(20000, 0.1F);
  std::string message;
  signal[12345] = std::nanf("");
  signal[15000] = INFINITY;
  EXPECT_EQ(status_of(mel, signal, 3000, {}, &message), Status::kBadAudio);
  EXPECT_NE(message.find("sample 12345 is NaN"), std::string::npos) << message;
  signal[12345] = -INFINITY;
  EXPECT_EQ(status_of(mel, signal, 3000, {}, &message), Status::kBadAudio);
  EXPECT_NE(message.find("sample 12345 is infinite"), std::string::npos) << message;
  LogMelOptions options;
  options.left = signal;
  EXPECT_EQ(status_of(mel, {}, 3000, options, &message), Status::kBadAudio);
  EXPECT_NE(message.find("sample -7655 is infinite"), std::string::npos) << message;
}

TEST(LogMel, LengthsThatDoNotFitAreRefused) {
  const LogMel mel(80);
  const Samples signal(1000, 0.1F);
  LogMelOptions options;
  options.window_samples = 999;
  EXPECT_EQ(status_of(mel, signal, 1, options), Status::kInvalidArgument);
  EXPECT_EQ(status_of(mel, signal, 3001, {}), Status::kInvalidArgument);
  EXPECT_EQ(status_of(mel, signal, -1, {}), Status::kInvalidArgument);
  options.window_samples = 1600;
  options.right = signal;
  EXPECT_EQ(status_of(mel, signal, 10, options), Status::kInvalidArgument);
  EXPECT_THROW(LogMel(81), Error);
}

TEST(LogMel, TinyWindowsAreMirroredAsOftenAsNeeded) {
  for (const int64_t window : {0, 1, 160, 161, 199, 200, 201, 399}) {
    LogMelOptions options;
    options.window_samples = window;
    const int64_t frames = window / 160;
    for (const float value : features(LogMel(80), Samples(static_cast<size_t>(window), 0.5F), frames, options)) {
      EXPECT_TRUE(std::isfinite(value));
    }
  }
}

}  // namespace
}  // namespace anyon
