// 16-bit PCM and 32-bit float WAV, any rate, any number of channels.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "source.h"

namespace {

std::uint32_t little_endian(const unsigned char* bytes, int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

class File final : public Source {
 public:
  explicit File(const std::string& path) : path_(path), file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw std::runtime_error(path + ": cannot be opened");
    if (path != "-") read_header();
  }
  ~File() override {
    if (file_ != stdin) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int sample_rate() const override { return rate_; }

  std::vector<float> read(std::size_t most) override {
    const std::size_t frame = static_cast<std::size_t>(channels_ * bytes_);
    std::vector<unsigned char> raw(frame * most);
    std::vector<float> mono(std::fread(raw.data(), frame, most, file_));
    for (std::size_t i = 0; i < mono.size(); ++i) {
      for (int c = 0; c < channels_; ++c)
        mono[i] += sample(raw.data() + i * frame + static_cast<std::size_t>(c * bytes_));
      mono[i] /= static_cast<float>(channels_);
    }
    return mono;
  }

 private:
  float sample(const unsigned char* bytes) const {
    const std::uint32_t bits = little_endian(bytes, bytes_);
    if (bytes_ == 2) return static_cast<float>(static_cast<std::int16_t>(bits)) / 32768.0f;
    float value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  void take(void* to, std::size_t bytes) {
    if (std::fread(to, 1, bytes, file_) != bytes) throw std::runtime_error(path_ + ": not a WAV file, or cut short");
  }

  void read_header() {
    unsigned char head[12], chunk[8], format[16];
    take(head, 12);
    if (std::memcmp(head, "RIFF", 4) != 0 || std::memcmp(head + 8, "WAVE", 4) != 0) {
      throw std::runtime_error(path_ + ": not a WAV file: convert it first (ffmpeg -i " + path_ + " speech.wav)");
    }
    bool formatted = false;
    for (;;) {
      take(chunk, 8);
      std::uint32_t bytes = little_endian(chunk + 4, 4);
      if (std::memcmp(chunk, "data", 4) == 0 && formatted) return;
      if (std::memcmp(chunk, "fmt ", 4) == 0 && bytes >= 16) {
        take(format, 16);
        bytes -= 16;
        const std::uint32_t kind = little_endian(format, 2);
        channels_ = static_cast<int>(little_endian(format + 2, 2));
        rate_ = static_cast<int>(little_endian(format + 4, 4));
        bytes_ = static_cast<int>(little_endian(format + 14, 2)) / 8;
        formatted = channels_ > 0 && rate_ > 0 && ((kind == 1 && bytes_ == 2) || (kind == 3 && bytes_ == 4));
        if (!formatted) throw std::runtime_error(path_ + ": only 16-bit PCM and 32-bit float WAV files are read");
      }
      if (std::fseek(file_, static_cast<long>(bytes + (bytes & 1)), SEEK_CUR) != 0) take(chunk, 8);
    }
  }

  const std::string path_;
  std::FILE* const file_;
  int rate_ = 16000, channels_ = 1, bytes_ = 2;
};

}  // namespace

std::unique_ptr<Source> open_file(const std::string& path) {
  return std::make_unique<File>(path);
}
