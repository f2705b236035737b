// What passes between Java and C++ as one byte array: numbers in the machine's byte order, text as UTF-8 with its
// length. One array for a whole answer costs one crossing, needs no Java class by name, and keeps text real UTF-8
// (JNI's own strings are not: they break on characters beyond the basic plane).
#pragma once

#include <jni.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "anyon/anyon.h"

namespace anyon::jni {

class Writer {
 public:
  template <class T>
  Writer& number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
    return *this;
  }
  // How an answer begins.
  Writer& outcome(anyon_status status, const char* message) { return number(status).text(message); }
  // NULL is written as the empty text.
  Writer& text(const char* text);
  Writer& segment(const anyon_segment& segment);
  Writer& info(const anyon_transcribe_info* info);
  // A session's result: its info, its text, its segments.
  Writer& transcript(const anyon_session* session);

  // A Java array of what was written, or NULL with an OutOfMemoryError pending.
  jbyteArray array(JNIEnv* env) const;

 private:
  std::vector<char> bytes_;
};

// Reads what Java wrote. Throws std::out_of_range where the two sides do not agree.
class Reader {
 public:
  Reader(JNIEnv* env, jbyteArray array);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool done() const { return at_ == bytes_.size(); }
  template <class T>
  T number() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> numbers() {
    const auto count = static_cast<size_t>(number<uint32_t>());
    const char* first = take(count * sizeof(T));
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), first, count * sizeof(T));
    return values;
  }
  // Ends with a zero byte, which Java writes too; valid as long as the reader.
  const char* text();

 private:
  const char* take(size_t bytes);

  std::vector<char> bytes_;
  size_t at_ = 0;
};

}  // namespace anyon::jni
