#include "options.h"
#include "core/status.h"

#include <pybind11/stl.h>

#include <string>
#include <unordered_map>

namespace anyon::python {

namespace py = pybind11;

namespace {

using Setter = void (*)(TranscribeOptions&, const py::handle&);

template <auto Member>
void set(TranscribeOptions& options, const py::handle& value) {
  auto& field = options.*Member;
  field = value.cast<std::decay_t<decltype(field)>>();
}

void set_task(TranscribeOptions& options, const py::handle& value) {
  const auto task = value.cast<std::string>();
  if (task == "transcribe") {
    options.task = Task::kTranscribe;
  } else if (task == "translate") {
    options.task = Task::kTranslate;
  } else {
    throw_error(Status::kInvalidArgument, {"task: '", task, "' is unknown: use 'transcribe' or 'translate'"});
  }
}

using T = TranscribeOptions;

const std::unordered_map<std::string, Setter>& setters() {
  static const std::unordered_map<std::string, Setter> table = {
      {"language", set<&T::language>},
      {"task", set_task},
      {"temperatures", set<&T::temperatures>},
      {"best_of", set<&T::best_of>},
      {"beam_size", set<&T::beam_size>},
      {"patience", set<&T::patience>},
      {"length_penalty", set<&T::length_penalty>},
      {"repetition_penalty", set<&T::repetition_penalty>},
      {"no_repeat_ngram_size", set<&T::no_repeat_ngram_size>},
      {"seed", set<&T::seed>},
      {"max_new_tokens", set<&T::max_new_tokens>},
      {"compression_ratio_threshold", set<&T::compression_ratio_threshold>},
      {"log_prob_threshold", set<&T::log_prob_threshold>},
      {"no_speech_threshold", set<&T::no_speech_threshold>},
      {"speech_gate", set<&T::speech_gate>},
      {"batch_size", set<&T::batch_size>},
      {"condition_on_previous_text", set<&T::condition_on_previous_text>},
      {"prompt_reset_on_temperature", set<&T::prompt_reset_on_temperature>},
      {"initial_prompt", set<&T::initial_prompt>},
      {"carry_initial_prompt", set<&T::carry_initial_prompt>},
      {"hotwords", set<&T::hotwords>},
      {"prefix", set<&T::prefix>},
      {"draft", set<&T::draft>},
      {"suppress_blank", set<&T::suppress_blank>},
      {"suppress_tokens", set<&T::suppress_tokens>},
      {"without_timestamps", set<&T::without_timestamps>},
      {"max_initial_timestamp", set<&T::max_initial_timestamp>},
      {"word_timestamps", set<&T::word_timestamps>},
      {"prepend_punctuations", set<&T::prepend_punctuations>},
      {"append_punctuations", set<&T::append_punctuations>},
      {"hallucination_silence_threshold", set<&T::hallucination_silence_threshold>},
      {"clip_timestamps", set<&T::clip_timestamps>},
      {"language_detection_threshold", set<&T::language_detection_threshold>},
      {"language_detection_segments", set<&T::language_detection_segments>},
  };
  return table;
}

}  // namespace

TranscribeOptions transcribe_options(const py::dict& options) {
  TranscribeOptions result;
  for (const auto& [key, value] : options) {
    const auto name = py::str(key).cast<std::string>();
    const auto setter = setters().find(name);
    if (setter == setters().end()) {
      throw_error(Status::kUnsupportedOption, {"transcribe: option '", name, "' does not exist"});
    }
    try {
      setter->second(result, value);
    } catch (const py::cast_error&) {
      throw_error(Status::kInvalidArgument,
                  {name, ": ", py::repr(value).cast<std::string>(), " has the wrong type for this option"});
    }
  }
  return result;
}

}  // namespace anyon::python
