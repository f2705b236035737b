// The resampler against ideal sines: flat to 0.9 of the Nyquist frequency, silent beyond it, exact in time and length.
#include "frontends/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>

#include "core/status.h"

namespace anyon {
namespace {

using Samples = std::vector<float>;

// cos(2 pi hz t + 0.3), t = index / rate.
Samples tone(double hz, int rate, int64_t samples) {
  Samples out(static_cast<size_t>(samples));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(std::cos(2 * std::numbers::pi * hz * static_cast<double>(i) / rate + 0.3));
  }
  return out;
}

Samples noise(size_t samples, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.1F);
  Samples out(samples);
  for (float& sample : out) sample = normal(random);
  return out;
}

// Largest distance in the middle half: the ends see the silence around the signal.
double distance(const Samples& a, const Samples& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = a.size() / 4; i < a.size() * 3 / 4; ++i) worst = std::max(worst, std::fabs(double{a[i]} - b[i]));
  return worst;
}

Samples in_chunks(const Samples& in, int from, int to, size_t chunk, Isa isa = selected_isa()) {
  Resampler resampler(from, to, isa);
  Samples out;
  for (size_t i = 0; i < in.size(); i += chunk) {
    resampler.push(std::span<const float>(in).subspan(i, std::min(chunk, in.size() - i)), out);
  }
  resampler.finish(out);
  return out;
}

struct Rates {
  int from, to;
};

std::string rates_name(const testing::TestParamInfo<Rates>& test) {
  return std::to_string(test.param.from) + "to" + std::to_string(test.param.to);
}

class ResamplerRates : public testing::TestWithParam<Rates> {};
class ResamplerDown : public testing::TestWithParam<Rates> {};

// Exact banks, interpolated banks (44101, 7919, 767999, 4001), up and down, extreme ratios.
const auto kDown = testing::Values(Rates{44100, 16000}, Rates{48000, 16000}, Rates{22050, 16000}, Rates{96000, 16000},
                                   Rates{32000, 16000}, Rates{44101, 16000}, Rates{768000, 16000}, Rates{767999, 16000},
                                   Rates{48000, 44100});
const auto kUp = testing::Values(Rates{8000, 16000}, Rates{11025, 16000}, Rates{16000, 48000}, Rates{16000, 44100},
                                 Rates{7919, 16000}, Rates{4000, 16000}, Rates{4001, 768000});
INSTANTIATE_TEST_SUITE_P(Down, ResamplerRates, kDown, rates_name);
INSTANTIATE_TEST_SUITE_P(Up, ResamplerRates, kUp, rates_name);
INSTANTIATE_TEST_SUITE_P(All, ResamplerDown, kDown, rates_name);

TEST_P(ResamplerRates, KeepsTonesUpToNineTenthsOfNyquistInPlace) {
  const auto [from, to] = GetParam();
  const double nyquist = std::min(from, to) / 2.0;
  const int64_t samples = from / 4;
  for (const double part : {0.01, 0.3, 0.5, 0.77, 0.9}) {
    const Samples out = resample(tone(part * nyquist, from, samples), from, to);
    const Samples ideal = tone(part * nyquist, to, Resampler::output_length(samples, from, to));
    // 0.1 dB would be 1.2e-2; the design error is -96 dB, and any delay would show as well.
    EXPECT_LT(distance(out, ideal), 3e-5) << part << " of the Nyquist frequency";
  }
}

TEST_P(ResamplerDown, RemovesTonesThatTheLowerRateCannotHold) {
  const auto [from, to] = GetParam();
  const double nyquist = to / 2.0, top = from / 2.0;
  for (const double hz : {nyquist, nyquist * 1.01, (nyquist + top) / 2, top * 0.999}) {
    const Samples out = resample(tone(hz, from, from / 4), from, to);
    const Samples silence(out.size(), 0.0F);
    EXPECT_LT(distance(out, silence), 3.2e-5) << hz << " Hz";  // -90 dB
  }
}

TEST_P(ResamplerRates, ChunksAndIsaDoNotMatter) {
  const auto [from, to] = GetParam();
  const Samples in = noise(3000, 1);
  const Samples expected = in_chunks(in, from, to, in.size(), Isa::kScalar);
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{160}, size_t{1024}}) {
    EXPECT_EQ(in_chunks(in, from, to, chunk), expected) << "chunks of " << chunk;
  }
  for (const Isa isa : supported_isas()) EXPECT_EQ(in_chunks(in, from, to, 999, isa), expected) << name(isa);
}

TEST_P(ResamplerRates, LengthIsExact) {
  const auto [from, to] = GetParam();
  for (const size_t samples : {size_t{0}, size_t{1}, size_t{2}, size_t{47}, size_t{48}, size_t{49}, size_t{1000}}) {
    const double exact = std::ceil(static_cast<double>(samples) * to / from);
    EXPECT_EQ(resample(Samples(samples, 0.5F), from, to).size(), static_cast<size_t>(exact));
  }
}

TEST(Resampler, AnImpulseStaysWhereItWas) {
  Samples in(6000, 0.0F);
  in[3000] = 1.0F;
  const Samples out = resample(in, 48000, 16000);
  ASSERT_EQ(out.size(), 2000U);
  EXPECT_EQ(std::max_element(out.begin(), out.end()) - out.begin(), 1000);
  for (int i = 1; i < 100; ++i) EXPECT_FLOAT_EQ(out[1000 - i], out[1000 + i]);
}

TEST(Resampler, AConstantStaysConstant) {
  for (const int from : {44100, 44101, 8000}) {
    const Samples out = resample(Samples(8000, 0.25F), from, 16000);
    for (size_t i = out.size() / 4; i < out.size() * 3 / 4; ++i) ASSERT_NEAR(out[i], 0.25F, 1e-6F);
  }
}

TEST(Resampler, TheSameRateIsACopy) {
  const Samples in = noise(1234, 2);
  EXPECT_EQ(resample(in, 16000, 16000), in);
  EXPECT_EQ(in_chunks(in, 16000, 16000, 100), in);
}

TEST(Resampler, LongInputKeepsItsTime) {
  // 20 s in pushes larger than the internal piece: the tone's phase at the end shows any drift.
  const int64_t samples = 44100 * 20;
  const Samples out = resample(tone(1000, 44100, samples), 44100, 16000);
  const Samples ideal = tone(1000, 16000, 16000 * 20);
  ASSERT_EQ(out.size(), ideal.size());
  for (size_t i = out.size() - 2000; i < out.size() - 1000; ++i) ASSERT_NEAR(out[i], ideal[i], 5e-5F);
}

TEST(Resampler, ResetStartsAfresh) {
  const Samples in = noise(500, 3);
  Resampler resampler(22050, 16000);
  Samples first, second;
  resampler.push(in, first);
  resampler.finish(first);
  EXPECT_THROW(resampler.push(in, first), Error);
  EXPECT_THROW(resampler.finish(first), Error);
  resampler.reset();
  resampler.push(in, second);
  resampler.finish(second);
  EXPECT_EQ(first, second);
}

TEST(Resampler, BadSamplesAreNamedByTheirPlaceInTheStreamAndLeaveItUnharmed) {
  const Samples in = noise(1000, 4);
  Resampler resampler(44100, 16000);
  Samples out;
  resampler.push(in, out);
  Samples bad = in;
  bad[17] = NAN;
  const size_t before = out.size();
  try {
    resampler.push(bad, out);
    FAIL() << "NaN was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadAudio);
    EXPECT_NE(std::string(error.what()).find("sample 1017 is NaN"), std::string::npos) << error.what();
  }
  EXPECT_EQ(out.size(), before);
  resampler.push(in, out);
  resampler.finish(out);
  Samples whole = in;
  whole.insert(whole.end(), in.begin(), in.end());
  EXPECT_EQ(out, resample(whole, 44100, 16000));
}

TEST(Resampler, AbsurdRatesAreRefusedWithTheAllowedRange) {
  for (const int rate : {-1, 0, 3999, 768001, 2147483647}) {
    try {
      Resampler(rate, 16000);
      FAIL() << rate;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find("4000 to 768000"), std::string::npos) << error.what();
    }
    EXPECT_THROW(Resampler(16000, rate), Error);
  }
}

}  // namespace
}  // namespace anyon
