#include "transcriber.h"
#include "core/status.h"

#include <pybind11/stl.h>

#include <chrono>

#include "arrays.h"
#include "core/threads.h"
#include "options.h"
#include "pipelines/transcribe.h"
#include "pipelines/whisper_model.h"

namespace anyon::python {

namespace py = pybind11;

namespace {

// Asks Python, now and then, whether to stop: a pending signal (Ctrl-C) raises, and so ends the step within one token.
class StopCheck {
 public:
  explicit StopCheck(py::object should_stop) : should_stop_(std::move(should_stop)) {}

  bool operator()() {
    // Taking the GIL for every token would make threads that transcribe at once wait for each other.
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return false;
    last_ = now;
    py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return !should_stop_.is_none() && should_stop_().cast<bool>();
  }

 private:
  py::object should_stop_;
  std::chrono::steady_clock::time_point last_{};
};

py::dict word_dict(const Word& word) {
  py::dict dict;
  dict["start"] = word.start;
  dict["end"] = word.end;
  dict["word"] = word.word;
  dict["probability"] = word.probability;
  return dict;
}

py::dict segment_dict(const Segment& segment) {
  py::dict dict;
  dict["id"] = segment.id;
  dict["seek"] = segment.seek;
  dict["start"] = segment.start;
  dict["end"] = segment.end;
  dict["text"] = segment.text;
  dict["tokens"] = segment.tokens;
  dict["avg_logprob"] = segment.avg_logprob;
  dict["compression_ratio"] = segment.compression_ratio;
  dict["no_speech_prob"] = segment.no_speech_prob;
  dict["temperature"] = segment.temperature;
  py::list words;
  for (const Word& word : segment.words) words.append(word_dict(word));
  dict["words"] = words;
  return dict;
}

py::dict info_dict(const Transcriber& transcriber) {
  const TranscribeInfo& info = transcriber.info();
  py::dict dict;
  dict["windows"] = info.windows;
  dict["fallbacks"] = info.fallbacks;
  dict["tokens"] = info.tokens;
  dict["steps"] = info.steps;
  dict["drafted"] = info.drafted;
  dict["gated"] = info.gated;
  dict["mel_seconds"] = info.mel_seconds;
  dict["encoder_seconds"] = info.encoder_seconds;
  dict["decoder_seconds"] = info.decoder_seconds;
  dict["align_seconds"] = info.align_seconds;
  dict["language_probabilities"] = transcriber.language_probabilities();
  return dict;
}

// A list of segments; None when the recording is over; cancellation is an Error.
py::object step(Transcriber& transcriber, const py::object& should_stop) {
  StopCheck check(should_stop);
  StepResult result;
  {
    py::gil_scoped_release release;
    result = transcriber.step(check);
  }
  if (result == StepResult::kCancelled) throw_error(Status::kCancelled, {"transcribe: cancelled"});
  if (result == StepResult::kDone) return py::none();
  py::list segments;
  if (result == StepResult::kSegments) {
    for (const Segment& segment : transcriber.segments()) segments.append(segment_dict(segment));
  }
  return segments;
}

}  // namespace

void bind_transcriber(py::module_& module) {
  py::class_<WhisperModel, std::shared_ptr<WhisperModel>>(module, "WhisperModel",
                                                          "Facts and tokenizer of a Whisper bundle; immutable.")
      .def(py::init([](std::shared_ptr<Bundle> bundle) { return std::make_shared<WhisperModel>(std::move(bundle)); }),
           py::arg("bundle"))
      .def_property_readonly("languages",
                             [](const WhisperModel& model) {
                               std::vector<std::string> codes;
                               for (const auto& [code, token] : model.info.languages) codes.push_back(code);
                               return codes;
                             })
      .def(
          "encode",
          [](const WhisperModel& model, const std::string& text, bool allow_special) {
            return model.tokenizer.encode(text, allow_special);
          },
          py::arg("text"), py::arg("allow_special") = false)
      .def(
          "decode",
          [](const WhisperModel& model, const std::vector<int32_t>& ids, bool skip_special) {
            return py::bytes(model.tokenizer.decode(ids, skip_special));
          },
          py::arg("ids"), py::arg("skip_special") = false);

  py::class_<Transcriber>(module, "Transcriber", "One transcription: push audio, finish, and step until None.")
      .def(py::init([](const std::shared_ptr<WhisperModel>& model, Session& encoder, Session& decoder, ThreadPool& pool,
                       const py::dict& options) {
             model->bundle->check_not_cut();
             return std::make_unique<Transcriber>(model->info, model->tokenizer, encoder, decoder, pool,
                                                  transcribe_options(options));
           }),
           py::arg("model"), py::arg("encoder"), py::arg("decoder"), py::arg("pool"), py::arg("options"),
           py::keep_alive<1, 2>(), py::keep_alive<1, 3>(), py::keep_alive<1, 4>(), py::keep_alive<1, 5>())
      .def(
          "push",
          [](Transcriber& transcriber, const Samples& mono, int sample_rate) {
            const std::span<const float> samples = samples_of(mono, "push");
            py::gil_scoped_release release;
            transcriber.push(samples, sample_rate);
          },
          py::arg("mono"), py::arg("sample_rate"))
      .def("finish", &Transcriber::finish, py::call_guard<py::gil_scoped_release>())
      .def("step", &step, py::arg("should_stop") = py::none(),
           "Segments that became final ([] may mean: push more audio), or None when the recording is over.")
      .def("cancel", &Transcriber::cancel, "Ends the running step within one token; any thread may call it.")
      .def_property_readonly("progress", &Transcriber::progress)
      .def_property_readonly("duration", &Transcriber::duration)
      .def_property_readonly("language", &Transcriber::language)
      .def_property_readonly("language_probability", &Transcriber::language_probability)
      .def_property_readonly("info", &info_dict);
}

}  // namespace anyon::python
