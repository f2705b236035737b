// Opens a bundle: header size, header, offsets, versions and manifest, checked in this order.
#include "bundle/bundle.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bundle/hash_pieces.h"
#include "bundle/header.h"
#include "bundle/header_hash.h"
#include "bundle/json.h"
#include "bundle/mapped_file.h"
#include "core/arena.h"
#include "core/checked.h"

namespace anyon {
namespace {

constexpr int64_t kSizeBytes = 8;  // the header's size, little-endian

[[noreturn]] void bad(const std::string& file, Parts problem) {
  throw_error(Status::kBadBundle, {file, ": ", problem});
}

std::string bytes_text(int64_t bytes) {
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

// The JSON header inside `bytes`.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.empty()) bad(file, {"the file is empty (an incomplete download?)"});
  if (bytes.size() < kSizeBytes) {
    bad(file, {"not a bundle: it has only ", bytes_text(static_cast<int64_t>(bytes.size()))});
  }
  uint64_t size = 0;
  for (size_t i = 0; i < kSizeBytes; ++i) size |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  // The first character decides whether a wrong size means a cut file or another kind of file.
  const bool looks_like_json = bytes.size() > kSizeBytes && bytes[kSizeBytes] == std::byte{'{'};
  if (!looks_like_json || size > static_cast<uint64_t>(Bundle::kMaxHeaderBytes)) {
    bad(file, {"not a bundle: it does not start with a safetensors header (another kind of file?)"});
  }
  if (size > bytes.size() - kSizeBytes) {
    bad(file,
        {"the header ends at byte ", size + kSizeBytes, ", file has ", bytes.size(), " (an incomplete download?)"});
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kSizeBytes, static_cast<size_t>(size)};
}

// A tensor's bytes are its shape's and lie inside the file.
void check_extent(const HeaderTensor& tensor, int64_t data_begin, int64_t file_bytes, const std::string& file) {
  const auto where = [&] { return "tensor '" + tensor.name + "' "; };
  if (tensor.end < tensor.begin) bad(file, {where(), "ends before it begins"});
  int64_t end = 0;
  if (!checked_add(tensor.end, data_begin, &end)) bad(file, {where(), "ends out of range"});
  if (end > file_bytes) {
    bad(file, {where(), "ends at byte ", end, ", file has ", file_bytes, " (an incomplete download?)"});
  }
  int64_t bytes = 0;
  if (!checked_bytes(tensor.shape, tensor.dtype, &bytes)) bad(file, {where(), "has a shape that is too large"});
  if (tensor.end - tensor.begin != bytes) {
    bad(file, {where(), "occupies ", bytes_text(tensor.end - tensor.begin), ", its shape needs ", bytes});
  }
  if (tensor.begin % Bundle::kAlignment != 0 && !tensor.name.starts_with(Bundle::kFillerPrefix)) {
    bad(file, {where(), "does not start on a 64-byte boundary (a safetensors file that is not a bundle?)"});
  }
}

// Together the tensors cover the data exactly once. Sorts them by offset.
void check_coverage(std::vector<HeaderTensor>& tensors, int64_t data_bytes, const std::string& file) {
  std::sort(tensors.begin(), tensors.end(), [](const HeaderTensor& a, const HeaderTensor& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  int64_t covered = 0;
  for (const HeaderTensor& tensor : tensors) {
    if (tensor.begin < covered) bad(file, {"tensor '", tensor.name, "' overlaps the tensor before it"});
    if (tensor.begin > covered) bad(file, {"the bytes before tensor '", tensor.name, "' belong to no tensor"});
    covered = tensor.end;
  }
  if (covered != data_bytes) {
    bad(file, {bytes_text(data_bytes - covered), " after the last tensor belong to no tensor"});
  }
}

std::string* find_metadata(Header& header, std::string_view key) {
  for (auto& [name, value] : header.metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string& metadata(Header& header, std::string_view key, const std::string& file) {
  if (std::string* value = find_metadata(header, key)) return *value;
  bad(file, {"not a bundle: its metadata has no '", key,
             "' (a plain safetensors file? make a bundle of it with `anyon export`)"});
}

// An entry that is not known may be the hash of the header under a name with a flipped bit.
void check_metadata_names(const Header& header, const std::string& file) {
  for (const auto& [name, value] : header.metadata) {
    if (name != "format" && name != "anyon_version" && name != "manifest" && name != kHeaderHashKey) {
      bad(file, {"its metadata has the unknown entry '", name.substr(0, 100), "' (a damaged file?)"});
    }
  }
}

// Newer versions are told apart from nonsense, because only the first is cured by an upgrade.
void check_version(const std::string& text, const std::string& file) {
  const bool number = !text.empty() && text.size() <= 9 &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int64_t version = number ? std::stoll(text) : 0;
  if (version < 1) bad(file, {"'anyon_version' is not a version number"});
  if (version > Bundle::kFormatVersion) {
    throw_error(Status::kUnsupportedVersion, {file, ": made by a newer anyon (bundle format ", text,
                                              ", this one reads up to ", Bundle::kFormatVersion, "); upgrade anyon"});
  }
}

void check_manifest(const nlohmann::json& manifest, const std::string& file) {
  if (!manifest.is_object()) bad(file, {"manifest: it is not an object"});
  const auto format = manifest.find("anyon_format");
  if (format == manifest.end() || !format->is_number_unsigned())
    bad(file, {"manifest: 'anyon_format' is not a number"});
  check_version(std::to_string(format->get<uint64_t>()), file);
}

}  // namespace

Bundle::Bundle(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
               std::shared_ptr<Allocator> allocator, const MappedFile* file)
    : name_(std::move(name)), allocator_(std::move(allocator)), owner_(std::move(owner)), file_(file), bytes_(bytes) {
  const std::string_view text = header_text(bytes, name_);
  Header header = parse_header(text, name_, kMaxTensors, kMaxNameBytes);

  if (metadata(header, "format", name_) != "anyon") bad(name_, {"not a bundle: its metadata's format is not 'anyon'"});
  check_version(metadata(header, "anyon_version", name_), name_);
  check_metadata_names(header, name_);

  const int64_t data_begin = kSizeBytes + static_cast<int64_t>(text.size());
  if (const std::string* hash = find_metadata(header, kHeaderHashKey)) {
    check_header_hash(bytes_.first(static_cast<size_t>(data_begin)), *hash, name_);
    has_header_hash_ = true;
  }
  if (data_begin % kAlignment != 0) bad(name_, {"the data does not start on a 64-byte boundary (a damaged file?)"});
  for (const HeaderTensor& tensor : header.tensors) check_extent(tensor, data_begin, file_bytes(), name_);
  check_coverage(header.tensors, file_bytes() - data_begin, name_);
  data_ = bytes_.subspan(static_cast<size_t>(data_begin));

  manifest_text_ = std::move(metadata(header, "manifest", name_));
  manifest_ = std::make_unique<nlohmann::json>(parse_json(manifest_text_, name_ + ": manifest"));
  check_manifest(*manifest_, name_);

  tensors_.reserve(header.tensors.size());
  std::vector<std::string_view> fillers;
  for (HeaderTensor& tensor : header.tensors) {
    if (tensor.name.starts_with(kFillerPrefix)) {
      fillers.push_back(tensor.name);
      continue;
    }
    // Views are handed to kernels, which take mutable pointers for outputs; a bundle's data is never an output.
    auto* data = const_cast<std::byte*>(data_.data()) + tensor.begin;
    tensors_.push_back({std::move(tensor.name), TensorView{tensor.dtype, tensor.shape, data}, tensor.begin});
  }
  std::sort(fillers.begin(), fillers.end());
  if (const auto twice = std::adjacent_find(fillers.begin(), fillers.end()); twice != fillers.end()) {
    bad(name_, {"two tensors are called '", *twice, "'"});
  }
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [this](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  const auto same_name = [this](uint32_t a, uint32_t b) { return tensors_[a].name == tensors_[b].name; };
  if (const auto twice = std::adjacent_find(by_name_.begin(), by_name_.end(), same_name); twice != by_name_.end()) {
    bad(name_, {"two tensors are called '", tensors_[*twice].name, "'"});
  }
}

Bundle::~Bundle() = default;

std::shared_ptr<const Bundle> Bundle::open(const std::string& path, std::shared_ptr<Allocator> allocator) {
  auto file = std::make_shared<MappedFile>(path);
  const std::span<const std::byte> bytes = file->bytes();
  const MappedFile* mapped = file.get();
  return std::shared_ptr<const Bundle>(new Bundle(path, bytes, std::move(file), std::move(allocator), mapped));
}

std::shared_ptr<const Bundle> Bundle::from_memory(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                                  const std::string& name, std::shared_ptr<Allocator> allocator) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    auto copy = std::make_shared<Arena>(static_cast<int64_t>(bytes.size()), allocator);
    std::copy(bytes.begin(), bytes.end(), copy->data());
    const std::span<const std::byte> aligned(copy->data(), bytes.size());
    return std::shared_ptr<const Bundle>(new Bundle(name, aligned, std::move(copy), std::move(allocator)));
  }
  return std::shared_ptr<const Bundle>(new Bundle(name, bytes, std::move(owner), std::move(allocator)));
}

const BundleTensor* Bundle::find(std::string_view tensor) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), tensor, [this](uint32_t i, std::string_view n) {
    return std::string_view(tensors_[i].name) < n;
  });
  if (found == by_name_.end() || tensors_[*found].name != tensor) return nullptr;
  return &tensors_[*found];
}

const TensorView& Bundle::tensor(std::string_view name) const {
  const BundleTensor* found = find(name);
  if (found == nullptr) bad(name_, {"has no tensor '", name, "'"});
  return found->view;
}

void Bundle::check_not_cut() const {
  if (file_ == nullptr) return;
  const int64_t now = file_->size_now();
  if (now >= 0 && now < file_bytes()) {
    bad(name_, {"was cut to ", bytes_text(now), " while it was in use, it had ", file_bytes(),
                " (make or download it again; replace a bundle by renaming, never in place)"});
  }
}

void Bundle::verify_data() const {
  verify_data([](int64_t, int64_t) { return true; });
}

void Bundle::verify_data(FunctionRef<bool(int64_t done, int64_t total)> keep_going) const {
  check_not_cut();
  const auto expected = manifest_->find("data_sha256");
  if (expected == manifest_->end() || !expected->is_string()) {
    bad(name_, {"manifest: has no 'data_sha256' to compare the data with"});
  }
  const std::string actual = hash_in_pieces(data_, name_, keep_going);
  if (actual != expected->get_ref<const std::string&>()) {
    bad(name_, {"the data has SHA-256 ", actual, ", the manifest says ",
                expected->get_ref<const std::string&>().substr(0, 64), " (a damaged file? make or download it again)"});
  }
}

}  // namespace anyon
