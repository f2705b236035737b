// Signatures of tests/golden/signature/p256.json, judged beforehand by another implementation, and keys that are none.
#include "core/p256.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/status.h"
#include "test_data.h"

namespace anyon {
namespace {

const nlohmann::json& vectors() {
  static const nlohmann::json rows = nlohmann::json::parse(data_text("../../golden/signature/p256.json"));
  return rows;
}

bool verifies(const nlohmann::json& row, const std::string& signature) {
  const std::string digest = from_hex(row.at("digest").get<std::string>());
  std::array<uint8_t, 32> bytes{};
  std::copy(digest.begin(), digest.end(), bytes.begin());
  return P256PublicKey::from_pem(row.at("key").get<std::string>())
      .verify(bytes, {reinterpret_cast<const uint8_t*>(signature.data()), signature.size()});
}

TEST(P256, JudgesEverySignatureAsTheOtherImplementationDid) {
  ASSERT_GE(vectors().size(), 100u);
  for (const nlohmann::json& row : vectors()) {
    EXPECT_EQ(verifies(row, from_hex(row.at("signature").get<std::string>())), row.at("valid").get<bool>())
        << row.at("what");
  }
}

TEST(P256, NoFlippedBitOfASignatureVerifies) {
  const nlohmann::json& row = vectors().at(0);
  const std::string signature = from_hex(row.at("signature").get<std::string>());
  for (size_t bit = 0; bit < 8 * signature.size(); ++bit) {
    std::string flipped = signature;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(verifies(row, flipped)) << "bit " << bit;
  }
}

std::string refusal(const std::string& pem) {
  try {
    P256PublicKey::from_pem(pem);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument);
    return error.what();
  }
  return "it was accepted";
}

TEST(P256, RefusesWhatIsNotAKeyOfTheCurve) {
  const std::string begin = "-----BEGIN PUBLIC KEY-----\n", end = "\n-----END PUBLIC KEY-----\n";
  const std::string body =
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7L"
      "tkBoN79R9Q==";  // the curve's base point
  EXPECT_NO_THROW(P256PublicKey::from_pem(begin + body + end));
  EXPECT_NO_THROW(
      P256PublicKey::from_pem("a comment\r\n" + begin + body.substr(0, 64) + "\r\n" + body.substr(64) + end));
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"", "it has no line '-----BEGIN"},
      {"-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "private key"},
      {begin + body, "it has no line '-----END"},
      {begin + body + end + begin + body + end, "more than one key"},
      {begin + "%" + body.substr(1) + end, "not base64"},
      {begin + body.substr(0, 60) + " " + body.substr(60) + end, "not base64"},
      {begin + body.substr(0, body.size() - 4) + end, "not an ECDSA key of the curve P-256"},
      {begin + "AAAA" + body + end, "not an ECDSA key of the curve P-256"},
      // secp256k1, and an X25519 key
      {begin +
           "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEeb5mfvncu6xVoGKVzocLBwKb/NstzijZWfKBWxb4F5hIOtp3JqPEZV2k+/wOEQio/Re0SKaF" +
           "VBmcR9CP+xDUuA==" + end,
       "not an ECDSA key of the curve P-256"},
      {begin + "MCowBQYDK2VuAyEACQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" + end,
       "not an ECDSA key of the curve P-256"},
      {begin + body.substr(0, body.size() - 4) + "9A==" + end, "not on the curve"},
  };
  for (const auto& [pem, message] : cases) EXPECT_NE(refusal(pem).find(message), std::string::npos) << refusal(pem);
}

// The field's prime, most significant byte first.
constexpr std::array<uint8_t, 32> kPrime = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    1,    0,    0,    0,
                                            0,    0,    0,    0,    0,    0,    0,    0,    0,    0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

TEST(P256, RefusesPointsOffTheCurveAndCoordinatesBeyondThePrime) {
  const auto valid = [](const std::string& x_hex, const std::string& y_hex) {
    const std::string x = from_hex(x_hex), y = from_hex(y_hex);
    bool on_curve = false;
    P256PublicKey::from_point(std::span<const uint8_t, 32>(reinterpret_cast<const uint8_t*>(x.data()), 32),
                              std::span<const uint8_t, 32>(reinterpret_cast<const uint8_t*>(y.data()), 32), &on_curve);
    return on_curve;
  };
  const std::string x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
  const std::string y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
  const std::string zero(64, '0');
  EXPECT_TRUE(valid(x, y));
  EXPECT_FALSE(valid(y, x));
  EXPECT_FALSE(valid(zero, zero)) << "the point at infinity has no coordinates";
  // x = 0 is on the curve with this y; x = p is the same point written otherwise, and refused.
  const std::string root_b = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
  EXPECT_TRUE(valid(zero, root_b));
  std::string prime;
  for (const uint8_t byte : kPrime) {
    prime += "0123456789abcdef"[byte >> 4];
    prime += "0123456789abcdef"[byte & 15];
  }
  EXPECT_FALSE(valid(prime, root_b));
  EXPECT_FALSE(valid(zero, prime));
}

}  // namespace
}  // namespace anyon
