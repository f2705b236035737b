// The bundle reader: one .anyon file, mapped and validated, whose tensors are used where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/function_ref.h"
#include "core/limits.h"
#include "core/tensor.h"

namespace anyon {

class Allocator;
class MappedFile;

struct BundleTensor {
  std::string name;
  TensorView view;     // data points into the bundle: read only, 64-byte aligned
  int64_t offset = 0;  // of its first byte in the data section
};

// A bundle is a safetensors file: u64 header size, JSON header, data. Its `__metadata__` holds the format, its version
// the manifest (JSON text) and the header's own hash, which is checked at every open where it is there. Nothing is
// trusted: every size is checked before a pointer is formed from it.
// Immutable after opening and safe to share between threads.
class Bundle {
 public:
  static constexpr int64_t kFormatVersion = 1;
  static constexpr int64_t kAlignment = 64;                           // of the data section and of every tensor in it
  static constexpr int64_t kMaxHeaderBytes = limits::kHeaderBytes;    // of the JSON header, manifest included
  static constexpr int64_t kMaxTensors = limits::kTensors;            // fillers included
  static constexpr int64_t kMaxNameBytes = limits::kTensorNameBytes;  // of a tensor's name
  static constexpr const char* kFillerPrefix = "__pad__.";  // U8 tensors that fill the gaps between aligned ones

  // Throws Error: kIoError (cannot be read), kBadBundle (not a bundle, damaged), kUnsupportedVersion (newer).
  // `allocator` (null: the C library's) is what sessions of the bundle take their memory from.
  static std::shared_ptr<const Bundle> open(const std::string& path, std::shared_ptr<Allocator> allocator = nullptr);

  // Reads a bundle that lies in memory. `owner` keeps `bytes` alive as long as the bundle. Bytes that do not start on
  // a 64-byte boundary are copied once. `name` stands in messages where the path would.
  static std::shared_ptr<const Bundle> from_memory(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                                   const std::string& name = "bundle",
                                                   std::shared_ptr<Allocator> allocator = nullptr);

  ~Bundle();
  Bundle(const Bundle&) = delete;
  Bundle& operator=(const Bundle&) = delete;

  const std::string& name() const { return name_; }
  // Whether it was opened from a path, which is then its name.
  bool is_file() const { return file_ != nullptr; }
  const std::shared_ptr<Allocator>& allocator() const { return allocator_; }
  const std::string& manifest_text() const { return manifest_text_; }
  const nlohmann::json& manifest() const { return *manifest_; }

  // In the order of their data, without fillers.
  std::span<const BundleTensor> tensors() const { return tensors_; }
  // Null when the bundle has no tensor of that name.
  const BundleTensor* find(std::string_view tensor) const;
  // Throws Error(kBadBundle) when the bundle has no tensor of that name.
  const TensorView& tensor(std::string_view name) const;

  // Throws Error(kBadBundle) when the file became shorter since it was opened, so that reading it would end the
  // process. Asked before each session and each transcription; nothing guards against a file that is cut while one
  // runs.
  void check_not_cut() const;

  int64_t file_bytes() const { return static_cast<int64_t>(bytes_.size()); }
  std::span<const std::byte> bytes() const { return bytes_; }  // of the whole file
  // Whether its header states its own hash, which was then checked when it was opened.
  bool has_header_hash() const { return has_header_hash_; }
  int64_t data_bytes() const { return static_cast<int64_t>(data_.size()); }
  // Compares the data section with the manifest's data_sha256. Reads every byte, so it is not part of opening.
  // Throws Error(kBadBundle) when they differ or the manifest has no hash.
  void verify_data() const;
  // The same; asks every few MiB, and after the last byte, whether to go on. Throws Error(kCancelled) when told not to.
  void verify_data(FunctionRef<bool(int64_t done, int64_t total)> keep_going) const;

 private:
  Bundle(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
         std::shared_ptr<Allocator> allocator, const MappedFile* file = nullptr);

  const std::string name_;
  const std::shared_ptr<Allocator> allocator_;
  const std::shared_ptr<const void> owner_;
  const MappedFile* const file_;  // part of owner_; null for a bundle in memory
  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;
  bool has_header_hash_ = false;
  std::string manifest_text_;
  std::unique_ptr<nlohmann::json> manifest_;
  std::vector<BundleTensor> tensors_;
  std::vector<uint32_t> by_name_;  // indices into tensors_, sorted by name
};

}  // namespace anyon
