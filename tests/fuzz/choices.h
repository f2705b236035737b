// A fuzzer's input as decisions and values: its bytes in order, and behind their end zeros or numbers drawn from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace anyon::fuzzing {

class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool empty() const { return at_ >= size_; }
  size_t left() const { return empty() ? 0 : size_ - at_; }
  uint8_t byte() { return empty() ? uint8_t{0} : data_[at_++]; }
  bool coin() { return (byte() & 1) != 0; }
  // low..high, both included.
  int64_t between(int64_t low, int64_t high) {
    const int64_t span = high - low + 1;
    const int64_t number = span <= 256 ? byte() : byte() << 8 | byte();
    return low + number % span;
  }
  template <class T>
  T raw() {
    uint8_t bytes[sizeof(T)];
    for (uint8_t& each : bytes) each = byte();
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }
  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[static_cast<size_t>(between(0, static_cast<int64_t>(list.size()) - 1))];
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// Numbers without end from one seed (xorshift), where a shape needs more values than an input has bytes.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed * 2 + 1) {}

  uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  std::vector<float> floats(int64_t count, float low = -1.0f, float high = 1.0f) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = low + (high - low) * static_cast<float>(next() >> 8) * 0x1p-24f;
    return values;
  }
  template <class T>
  std::vector<T> integers(int64_t count, int64_t low, int64_t high) {
    std::vector<T> values(static_cast<size_t>(count));
    for (T& value : values) value = static_cast<T>(low + static_cast<int64_t>(next() >> 4) % (high - low + 1));
    return values;
  }

 private:
  uint32_t state_;
};

}  // namespace anyon::fuzzing
