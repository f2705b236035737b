// RFC 4648's examples, and every spelling that is not the canonical one refused.
#include "core/base64.h"

#include <gtest/gtest.h>

namespace anyon {
namespace {

TEST(Base64, ReadsThePublishedExamples) {
  EXPECT_EQ(base64_bytes(""), "");
  EXPECT_EQ(base64_bytes("Zg=="), "f");
  EXPECT_EQ(base64_bytes("Zm8="), "fo");
  EXPECT_EQ(base64_bytes("Zm9v"), "foo");
  EXPECT_EQ(base64_bytes("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_bytes("+/+/"), "\xfb\xff\xbf");
}

TEST(Base64, RefusesOtherSpellings) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "====", "=Zg=", "Zg==Zg==", "Zm9v\n", "Zm 9",
                           "-_-_", "Zm9vZ===", "Zm8\xff"}) {
    EXPECT_EQ(base64_bytes(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace anyon
