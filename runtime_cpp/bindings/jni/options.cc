#include "options.h"

#include <string_view>
#include <variant>

namespace anyon::jni {

namespace {

// Where a value goes. The letter is what Java writes before it, so that a value of another type is never misread.
template <class P, class T>
struct Number {
  T P::*field;
};
template <class P, class T>
struct List {
  const T* P::*items;
  size_t P::*count;
};
template <class P>
using Target = std::variant<Number<P, int32_t>, Number<P, uint64_t>, Number<P, float>, const char * P::*,
                            List<P, float>, List<P, double>, List<P, int32_t>, List<P, char>, anyon_prompt P::*>;
constexpr std::string_view kLetters = "ilfsFDIBp";  // in the order of Target

template <class P>
struct Option {
  std::string_view name;
  Target<P> target;
};

using T = anyon_transcribe_params;
using Int = Number<T, int32_t>;
using Float = Number<T, float>;
const Option<T> kTranscribe[] = {
    {"language", &T::language},
    {"task", Int{&T::task}},
    {"temperatures", List<T, float>{&T::temperatures, &T::temperature_count}},
    {"best_of", Int{&T::best_of}},
    {"beam_size", Int{&T::beam_size}},
    {"patience", Float{&T::patience}},
    {"length_penalty", Float{&T::length_penalty}},
    {"repetition_penalty", Float{&T::repetition_penalty}},
    {"no_repeat_ngram_size", Int{&T::no_repeat_ngram_size}},
    {"seed", Number<T, uint64_t>{&T::seed}},
    {"max_new_tokens", Int{&T::max_new_tokens}},
    {"compression_ratio_threshold", Float{&T::compression_ratio_threshold}},
    {"log_prob_threshold", Float{&T::log_prob_threshold}},
    {"no_speech_threshold", Float{&T::no_speech_threshold}},
    {"speech_gate", Int{&T::speech_gate}},
    {"batch_size", Int{&T::batch_size}},
    {"condition_on_previous_text", Int{&T::condition_on_previous_text}},
    {"prompt_reset_on_temperature", Float{&T::prompt_reset_on_temperature}},
    {"initial_prompt", &T::initial_prompt},
    {"carry_initial_prompt", Int{&T::carry_initial_prompt}},
    {"hotwords", &T::hotwords},
    {"prefix", &T::prefix},
    {"draft", &T::draft},
    {"suppress_blank", Int{&T::suppress_blank}},
    {"suppress_tokens", List<T, int32_t>{&T::suppress_tokens, &T::suppress_token_count}},
    {"suppress_nothing", Int{&T::suppress_nothing}},
    {"without_timestamps", Int{&T::without_timestamps}},
    {"max_initial_timestamp", Float{&T::max_initial_timestamp}},
    {"word_timestamps", Int{&T::word_timestamps}},
    {"prepend_punctuations", &T::prepend_punctuations},
    {"append_punctuations", &T::append_punctuations},
    {"hallucination_silence_threshold", Float{&T::hallucination_silence_threshold}},
    {"clip_timestamps", List<T, double>{&T::clip_timestamps, &T::clip_timestamp_count}},
    {"language_detection_threshold", Float{&T::language_detection_threshold}},
    {"language_detection_segments", Int{&T::language_detection_segments}},
};

using M = anyon_model_params;
const Option<M> kModel[] = {
    {"isa", &M::isa},
    {"verify_data", Number<M, int32_t>{&M::verify_data}},
    {"public_key_pem", &M::public_key_pem},
    {"signature", List<M, char>{&M::signature, &M::signature_bytes}},
};

template <class V>
std::deque<std::vector<V>>& lists_of(Lists& lists) {
  if constexpr (std::is_same_v<V, float>) return lists.floats;
  if constexpr (std::is_same_v<V, double>) return lists.doubles;
  if constexpr (std::is_same_v<V, int32_t>) return lists.ints;
  if constexpr (std::is_same_v<V, char>) return lists.bytes;
}

// An empty list is not a missing one.
template <class V>
const std::vector<V>& keep(Lists& lists, Reader& reader) {
  std::vector<V>& kept = lists_of<V>(lists).emplace_back(reader.numbers<V>());
  if (kept.empty()) kept.reserve(1);
  return kept;
}

template <class P>
struct Setter {
  P& params;
  Reader& reader;
  Lists& lists;

  template <class V>
  void operator()(Number<P, V> number) const {
    params.*number.field = reader.number<V>();
  }
  void operator()(const char* P::*field) const { params.*field = reader.text(); }
  template <class V>
  void operator()(List<P, V> list) const {
    const std::vector<V>& values = keep<V>(lists, reader);
    params.*list.items = values.data();
    params.*list.count = values.size();
  }
  void operator()(anyon_prompt P::*field) const {
    anyon_prompt& prompt = params.*field;
    prompt = {};
    if (reader.number<int8_t>() == 's') {
      prompt.text = reader.text();
      return;
    }
    const std::vector<int32_t>& tokens = keep<int32_t>(lists, reader);
    prompt.tokens = tokens.data();
    prompt.token_count = tokens.size();
  }
};

template <class P, size_t N>
P read(P params, const Option<P> (&table)[N], Reader& reader, Lists& lists) {
  while (!reader.done()) {
    const std::string_view name = reader.text();
    const Option<P>* option = table;
    while (option != table + N && option->name != name) ++option;
    if (option == table + N) throw std::invalid_argument(std::string(name) + ": this build has no such option");
    if (reader.number<int8_t>() != kLetters[option->target.index()]) {
      throw std::invalid_argument(std::string(name) + ": a value of another type");
    }
    std::visit(Setter<P>{params, reader, lists}, option->target);
  }
  return params;
}

}  // namespace

anyon_transcribe_params transcribe_params(Reader& reader, Lists& lists) {
  return read(anyon_transcribe_params_default(), kTranscribe, reader, lists);
}

anyon_model_params model_params(Reader& reader, Lists& lists) {
  return read(anyon_model_params_default(), kModel, reader, lists);
}

}  // namespace anyon::jni
