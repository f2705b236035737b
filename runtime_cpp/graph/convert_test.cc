// Conversions against their definition: every 16-bit float, and every value of the small types.
#include "graph/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph/small_types.h"
#include "kernels/half/half.h"

namespace anyon::graph {
namespace {

TEST(Convert, HalvesSurviveTheWayToFloatAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = from_half(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(anyon::reference::half_to_float(half)));
      EXPECT_TRUE(std::isnan(from_half(to_half(value))));
      continue;
    }
    ASSERT_EQ(value, anyon::reference::half_to_float(half)) << bits;
    ASSERT_EQ(to_half(value), half) << bits;
  }
}

TEST(Convert, HalvesRoundToTheNearestTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = from_half(static_cast<uint16_t>(bits)), high = from_half(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // exact in 24 bits
    ASSERT_EQ(to_half(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(to_half(std::nextafter(middle, low)), bits);
    ASSERT_EQ(to_half(std::nextafter(middle, high)), bits + 1);
  }
  EXPECT_EQ(to_half(65519.9f), 0x7bff);
  EXPECT_EQ(to_half(65520.0f), 0x7c00);
  EXPECT_EQ(to_half(-1e-9f), 0x8000);
}

TEST(Convert, Bfloat16RoundsToTheNearestTiesToEven) {
  EXPECT_EQ(to_bfloat16(1.0f), 0x3f80);
  EXPECT_EQ(to_bfloat16(1.00390625f), 0x3f80);  // half a step above an even one
  EXPECT_EQ(to_bfloat16(1.01171875f), 0x3f82);  // half a step above an odd one
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::infinity()), 0x7f80);
  EXPECT_TRUE(std::isnan(from_bfloat16(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

// The one number of type From, converted to type To.
template <class From, class To>
To converted(DType from, DType to, From value) {
  To result{};
  convert({from, Shape(), &value}, {to, Shape(), &result});
  return result;
}

TEST(Convert, NumbersOutOfRangeNeverTrap) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ((converted<float, int64_t>(DType::kF32, DType::kI64, kNan)), 0);
  EXPECT_EQ((converted<float, int64_t>(DType::kF32, DType::kI64, 1e30f)), std::numeric_limits<int64_t>::max());
  EXPECT_EQ((converted<float, int64_t>(DType::kF32, DType::kI64, -1e30f)), std::numeric_limits<int64_t>::min());
  EXPECT_EQ((converted<float, int8_t>(DType::kF32, DType::kI8, -3.9f)), -3);
  EXPECT_EQ((converted<float, uint64_t>(DType::kF32, DType::kU64, 1e30f)), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ((converted<int64_t, int8_t>(DType::kI64, DType::kI8, 200)), -56);
  EXPECT_EQ((converted<double, bool>(DType::kF64, DType::kBool, 0.25)), true);
  EXPECT_EQ((converted<uint64_t, float>(DType::kU64, DType::kF32, uint64_t{1} << 63)), 0x1p63f);
}

TEST(SmallTypes, KeepTheirOwnValues) {
  const ValueType e4m3 = *value_type_from_text("f8e4m3fn");
  for (int exponent = -6; exponent <= 8; ++exponent) {
    for (int mantissa = 0; mantissa < 8; ++mantissa) {
      const float value = std::ldexp(1.0f + static_cast<float>(mantissa) / 8, exponent);
      if (value > e4m3.largest) continue;
      ASSERT_EQ(round_to(e4m3, value, true), value);
      ASSERT_EQ(round_to(e4m3, -value, true), -value);
    }
  }
  EXPECT_EQ(round_to(e4m3, 0x1p-9f, true), 0x1p-9f);  // the smallest subnormal
  EXPECT_EQ(round_to(e4m3, 0x1p-10f, true), 0.0f);    // half of it: ties to even
  EXPECT_EQ(round_to(e4m3, 1000.0f, true), 448.0f);
  EXPECT_TRUE(std::isnan(round_to(e4m3, 1000.0f, false)));
  EXPECT_TRUE(std::isinf(round_to(*value_type_from_text("f8e5m2"), 1e6f, false)));
}

TEST(SmallTypes, IntegersWrapAround) {
  EXPECT_EQ(wrap_to(*value_type_from_text("i4"), 9), -7);
  EXPECT_EQ(wrap_to(*value_type_from_text("u4"), -1), 15);
  EXPECT_EQ(wrap_to(*value_type_from_text("i2"), 2), -2);
  EXPECT_EQ(least_of(*value_type_from_text("i4")), -8);
  EXPECT_EQ(greatest_of(*value_type_from_text("u16")), 65535);
  EXPECT_EQ(greatest_of(*value_type_from_text("i32")), std::numeric_limits<int32_t>::max());
  EXPECT_FALSE(value_type_from_text("f7"));
}

}  // namespace
}  // namespace anyon::graph
