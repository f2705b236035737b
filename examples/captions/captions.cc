// Live captions in a terminal: final text stays, the line being spoken is rewritten as it becomes clearer.
#include <anyon/anyon.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "source.h"

namespace {

volatile std::sig_atomic_t interrupted = 0;

constexpr double kPreviewSeconds = 1.0;  // between two looks at the line being spoken

const char kUsage[] =
    "captions MODEL.anyon [FILE.wav | -]\n"
    "\n"
    "Live captions of the microphone, of a WAV file, or of raw 16-bit mono samples at 16 kHz on standard input (-).\n"
    "Ctrl-C ends the recording; what was said until then is still written.\n"
    "\n"
    "  --language CODE   en, fr, ...; detected when left out\n"
    "  --threads N       1..256; automatic when left out\n"
    "  --plain           final lines only, nothing rewritten (for pipes and logs)\n";

struct Arguments {
  std::string model, source, language;
  int threads = 0;
  bool plain = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&] {
      if (++i == argc) throw std::runtime_error(argument + " needs a value\n\n" + kUsage);
      return std::string(argv[i]);
    };
    if (argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else if (argument == "--language") {
      arguments.language = value();
    } else if (argument == "--threads") {
      arguments.threads = std::atoi(value().c_str());
    } else if (argument == "--plain") {
      arguments.plain = true;
    } else if (arguments.model.empty()) {
      arguments.model = argument;
    } else if (arguments.source.empty()) {
      arguments.source = argument;
    } else {
      throw std::runtime_error("too many arguments: " + argument + "\n\n" + kUsage);
    }
  }
  if (arguments.model.empty()) throw std::runtime_error(std::string("no model given\n\n") + kUsage);
  return arguments;
}

class Captions {
 public:
  explicit Captions(bool plain) : plain_(plain) {}

  void final_text(const anyon::Segment& segment) {
    clear();
    std::printf("[%6.2f - %6.2f]%s\n", segment.start, segment.end, segment.text.c_str());
    std::fflush(stdout);
  }

  // The end of the line being spoken, as much as fits a terminal.
  void tentative(const std::string& text) {
    if (plain_) return;
    constexpr std::size_t kWidth = 76;
    std::size_t begin = text.size() > kWidth ? text.size() - kWidth : 0;
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
    clear();
    std::printf("%s%s", begin > 0 ? "... " : "", text.c_str() + begin);
    std::fflush(stdout);
  }

  void clear() {
    if (!plain_) std::fputs("\r\033[2K", stdout);
  }

 private:
  const bool plain_;
};

void run(const Arguments& arguments) {
  const anyon::Model model(arguments.model);
  anyon::Session session(model, arguments.threads);
  const std::unique_ptr<Source> source = arguments.source.empty() ? open_microphone() : open_file(arguments.source);
  Captions captions(arguments.plain);
  anyon::Options options;
  options.params.language = arguments.language.c_str();
  options.on_segment = [&](const anyon::Segment& segment) { captions.final_text(segment); };
  anyon::Stream stream(session, std::move(options));

  const auto piece = static_cast<std::size_t>(source->sample_rate() / 10);
  double previewed = 0;
  for (anyon_step step = ANYON_STEP_NEED_AUDIO; step != ANYON_STEP_DONE; step = stream.step()) {
    if (step != ANYON_STEP_NEED_AUDIO) continue;
    const std::vector<float> samples = interrupted ? std::vector<float>() : source->read(piece);
    if (samples.empty()) {
      captions.clear();
      stream.finish();
      continue;
    }
    stream.push(samples.data(), samples.size(), source->sample_rate());
    if (!arguments.plain && stream.info().duration - previewed >= kPreviewSeconds) {
      captions.tentative(stream.preview());
      previewed = stream.info().duration;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, [](int) { interrupted = 1; });
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
