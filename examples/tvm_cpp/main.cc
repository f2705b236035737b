// Transcribes a recording: anyon's C++ frontend, loops and pipeline, TVM's compiled programs, no Python.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bundle/bundle.h"
#include "core/threads.h"
#include "pipelines/transcribe.h"
#include "pipelines/whisper_model.h"
#include "tvm_session.h"
#include "wav.h"

int main(int count, char** arguments) {
  if (count < 4 || count > 6) {
    std::cerr << "usage: transcribe MODEL.anyon TVM_FOLDER RECORDING.wav [THREADS [BEAMS]]\n";
    return 2;
  }
  try {
    const int threads = count > 4 ? std::atoi(arguments[4]) : 1;
    const auto bundle = anyon::Bundle::open(arguments[1]);
    const TvmPrograms programs(arguments[2], bundle->manifest().value("data_sha256", ""));
    use_tvm_threads(threads);
    TvmSession encoder(*bundle, programs, "encoder"), decoder(*bundle, programs, "decoder");

    anyon::ThreadPool pool(threads);  // for the frontend and the loops; TVM has workers of its own
    const anyon::WhisperModel model(bundle);
    anyon::TranscribeOptions options;
    if (count > 5) options.beam_size = std::atoi(arguments[5]);
    anyon::Transcriber transcriber(model.info, model.tokenizer, encoder, decoder, pool, options);

    const Recording recording = read_wav(arguments[3]);
    transcriber.push(recording.samples, recording.rate);
    transcriber.finish();
    for (;;) {
      const anyon::StepResult result = transcriber.step();
      if (result != anyon::StepResult::kSegments) break;
      for (const anyon::Segment& segment : transcriber.segments()) std::cout << segment.text << '\n' << std::flush;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "transcribe: " << error.what() << '\n';
    return 1;
  }
}
