// The default microphone through PortAudio.
#include <stdexcept>

#include "source.h"

#ifdef HAVE_PORTAUDIO
#include <portaudio.h>

namespace {

class Microphone final : public Source {
 public:
  Microphone() {
    check(Pa_Initialize());
    const PaError error =
        Pa_OpenDefaultStream(&stream_, 1, 0, paFloat32, kRate, paFramesPerBufferUnspecified, nullptr, nullptr);
    if (error != paNoError) Pa_Terminate();
    check(error);
    check(Pa_StartStream(stream_));
  }
  ~Microphone() override {
    Pa_CloseStream(stream_);
    Pa_Terminate();
  }
  Microphone(const Microphone&) = delete;
  Microphone& operator=(const Microphone&) = delete;

  int sample_rate() const override { return kRate; }

  std::vector<float> read(std::size_t most) override {
    std::vector<float> samples(most);
    const PaError error = Pa_ReadStream(stream_, samples.data(), static_cast<unsigned long>(most));
    // Sound that was lost while the machine was busy is no reason to stop.
    if (error != paInputOverflowed) check(error);
    return samples;
  }

 private:
  static constexpr int kRate = 16000;

  static void check(PaError error) {
    if (error != paNoError) throw std::runtime_error(std::string("microphone: ") + Pa_GetErrorText(error));
  }

  PaStream* stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Source> open_microphone() {
  return std::make_unique<Microphone>();
}
#else
std::unique_ptr<Source> open_microphone() {
  throw std::runtime_error(
      "microphone: this build has none: install PortAudio and build again, or pipe audio in:\n"
      "  arecord -q -f S16_LE -r 16000 -c 1 -t raw | captions model.anyon -");
}
#endif
