// Points stand as (X : Y : Z); their sum is one formula for every pair, equal and infinite ones included (Renes,
// Costello, Batina, "Complete addition formulas for prime order elliptic curves", 2016, with a = -3).
#include "core/p256.h"

#include <algorithm>
#include <optional>

namespace anyon {
namespace p256 {
namespace {

constexpr Field kField({0xffffffffffffffff, 0x00000000ffffffff, 0, 0xffffffff00000001});
constexpr Field kOrder({0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000});
constexpr Number kB = kField.enter({0x3bce3c3e27d2604b, 0x651d06b0cc53b0f6, 0xb3ebbd55769886bc, 0x5ac635d8aa3a93e7});

struct Point {
  Number x, y, z;
};

constexpr Point kInfinity = {kZero, kField.one(), kZero};
constexpr Point kBase = {kField.enter({0xf4a13945d898c296, 0x77037d812deb33a0, 0xf8bce6e563a440f2, 0x6b17d1f2e12c4247}),
                         kField.enter({0xcbb6406837bf51f5, 0x2bce33576b315ece, 0x8ee7eb4a7c0f9e16, 0x4fe342e2fe1a7f9b}),
                         kField.one()};

Number times3(const Number& a) {
  return kField.add(kField.add(a, a), a);
}

// a1 * b2 + a2 * b1, given a1 * a2 and b1 * b2.
Number cross(const Number& a1, const Number& b1, const Number& a2, const Number& b2, const Number& aa,
             const Number& bb) {
  const Number all = kField.multiply(kField.add(a1, b1), kField.add(a2, b2));
  return kField.subtract(all, kField.add(aa, bb));
}

Point add(const Point& p, const Point& q) {
  const Field& f = kField;
  const Number xx = f.multiply(p.x, q.x), yy = f.multiply(p.y, q.y), zz = f.multiply(p.z, q.z);
  const Number xy = cross(p.x, p.y, q.x, q.y, xx, yy);
  const Number yz = cross(p.y, p.z, q.y, q.z, yy, zz);
  const Number xz = cross(p.x, p.z, q.x, q.z, xx, zz);
  const Number m = times3(f.subtract(xz, f.multiply(kB, zz)));
  const Number plus = f.add(yy, m), minus = f.subtract(yy, m);
  const Number h = times3(f.subtract(f.subtract(f.multiply(kB, xz), times3(zz)), xx));
  const Number k = times3(f.subtract(xx, zz));
  return {f.subtract(f.multiply(xy, plus), f.multiply(yz, h)), f.add(f.multiply(plus, minus), f.multiply(k, h)),
          f.add(f.multiply(yz, minus), f.multiply(xy, k))};
}

bool bit_of(const Number& number, size_t bit) {
  return (number[bit / 64] >> bit % 64 & 1) != 0;
}

// a * P + b * Q.
Point combine(const Number& a, const Point& p, const Number& b, const Point& q) {
  const Point both = add(p, q);
  Point sum = kInfinity;
  for (size_t bit = 256; bit-- > 0;) {
    sum = add(sum, sum);
    const bool with_p = bit_of(a, bit), with_q = bit_of(b, bit);
    if (with_p || with_q) sum = add(sum, with_p && with_q ? both : with_p ? p : q);
  }
  return sum;
}

// Takes an INTEGER off the front of `der`: positive, in as few bytes as it needs, at most 256 bits.
std::optional<Number> take_integer(std::span<const uint8_t>& der) {
  if (der.size() < 3 || der[0] != 2) return std::nullopt;
  const size_t length = der[1];
  if (length == 0 || length > 33 || length > der.size() - 2) return std::nullopt;
  std::span<const uint8_t> bytes = der.subspan(2, length);
  der = der.subspan(2 + length);
  if (bytes[0] >= 0x80) return std::nullopt;  // negative
  if (bytes[0] == 0 && length > 1) {
    if (bytes[1] < 0x80) return std::nullopt;  // a zero too many
    bytes = bytes.subspan(1);
  }
  if (bytes.size() > 32) return std::nullopt;
  std::array<uint8_t, 32> padded{};
  std::copy(bytes.begin(), bytes.end(), padded.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  return number_of(padded);
}

}  // namespace
}  // namespace p256

P256PublicKey P256PublicKey::from_point(std::span<const uint8_t, 32> x, std::span<const uint8_t, 32> y, bool* valid) {
  using namespace p256;
  const Number plain_x = number_of(x), plain_y = number_of(y);
  P256PublicKey key;
  key.x_ = kField.enter(plain_x);
  key.y_ = kField.enter(plain_y);
  // y^2 = x^3 - 3 x + b. The curve has no point of another order, so this is all that can be wrong.
  const Number cube = kField.multiply(kField.multiply(key.x_, key.x_), key.x_);
  const Number right = kField.add(kField.subtract(cube, times3(key.x_)), kB);
  *valid = less(plain_x, kField.prime()) && less(plain_y, kField.prime()) && kField.multiply(key.y_, key.y_) == right;
  return key;
}

bool P256PublicKey::verify(const std::array<uint8_t, 32>& digest, std::span<const uint8_t> signature) const {
  using namespace p256;
  if (signature.size() < 8 || signature[0] != 0x30 || signature[1] != signature.size() - 2) return false;
  std::span<const uint8_t> rest = signature.subspan(2);
  const std::optional<Number> r = take_integer(rest), s = r ? take_integer(rest) : std::nullopt;
  if (!r || !s || !rest.empty()) return false;
  if (*r == kZero || *s == kZero || !less(*r, kOrder.prime()) || !less(*s, kOrder.prime())) return false;

  Number e = number_of(digest);
  if (!less(e, kOrder.prime())) e = subtract_numbers(e, kOrder.prime());
  // w stands in Montgomery's form and the other factors do not, so the products are plain numbers.
  const Number w = kOrder.inverse(kOrder.enter(*s));
  const Point sum = combine(kOrder.multiply(e, w), kBase, kOrder.multiply(*r, w), {x_, y_, kField.one()});
  if (sum.z == kZero) return false;
  Number x = kField.leave(kField.multiply(sum.x, kField.inverse(sum.z)));
  if (!less(x, kOrder.prime())) x = subtract_numbers(x, kOrder.prime());
  return x == *r;
}

}  // namespace anyon
