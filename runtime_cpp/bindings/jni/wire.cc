#include "wire.h"

#include <limits>

namespace anyon::jni {

Writer& Writer::text(const char* text) {
  const size_t length = text == nullptr ? 0 : std::strlen(text);
  number(static_cast<int32_t>(length));
  bytes_.insert(bytes_.end(), text, text + length);
  return *this;
}

Writer& Writer::segment(const anyon_segment& segment) {
  number(segment.id).number(segment.seek).number(segment.start).number(segment.end).text(segment.text);
  number(static_cast<int32_t>(segment.token_count));
  for (size_t i = 0; i < segment.token_count; ++i) number(segment.tokens[i]);
  number(segment.avg_logprob).number(segment.compression_ratio).number(segment.no_speech_prob);
  number(segment.temperature).number(static_cast<int32_t>(segment.word_count));
  for (size_t i = 0; i < segment.word_count; ++i) {
    const anyon_word& word = segment.words[i];
    number(word.start).number(word.end).number(word.probability).text(word.word);
  }
  return *this;
}

Writer& Writer::info(const anyon_transcribe_info* info) {
  const anyon_transcribe_info none{};
  const anyon_transcribe_info& facts = info == nullptr ? none : *info;
  text(facts.language).number(facts.language_probability).number(facts.duration).number(facts.progress);
  number(facts.windows).number(facts.fallbacks).number(facts.tokens).number(facts.steps);
  number(facts.mel_seconds).number(facts.encoder_seconds).number(facts.decoder_seconds).number(facts.align_seconds);
  return *this;
}

Writer& Writer::transcript(const anyon_session* session) {
  info(anyon_session_info(session)).text(anyon_session_text(session));
  const size_t count = anyon_session_segment_count(session);
  number(static_cast<int32_t>(count));
  for (size_t i = 0; i < count; ++i) segment(*anyon_session_segment(session, i));
  return *this;
}

jbyteArray Writer::array(JNIEnv* env) const {
  if (bytes_.size() > static_cast<size_t>(std::numeric_limits<jsize>::max())) {
    throw std::length_error("the result is larger than a Java array can be: transcribe through a stream");
  }
  const auto length = static_cast<jsize>(bytes_.size());
  const jbyteArray array = env->NewByteArray(length);
  if (array != nullptr) env->SetByteArrayRegion(array, 0, length, reinterpret_cast<const jbyte*>(bytes_.data()));
  return array;
}

Reader::Reader(JNIEnv* env, jbyteArray array) : bytes_(static_cast<size_t>(env->GetArrayLength(array))) {
  env->GetByteArrayRegion(array, 0, static_cast<jsize>(bytes_.size()), reinterpret_cast<jbyte*>(bytes_.data()));
}

const char* Reader::take(size_t bytes) {
  if (bytes > bytes_.size() - at_) {
    throw std::out_of_range("options: they end too early: are libanyon_jni and the Java classes of one version?");
  }
  at_ += bytes;
  return bytes_.data() + at_ - bytes;
}

const char* Reader::text() {
  const auto length = static_cast<size_t>(number<uint32_t>());
  const char* text = take(length + 1);
  if (text[length] != '\0') throw std::out_of_range("options: a text without an end");
  return text;
}

}  // namespace anyon::jni
