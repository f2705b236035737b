// Writes bundles in memory for the C++ tests: well-formed ones, and pieces to make malformed ones from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bundle/bundle.h"
#include "bundle/header_hash.h"

namespace anyon::testing {

// A size, a JSON header padded with spaces to `align`, and data: any safetensors file, valid or not.
inline std::string raw_file(const std::string& header, const std::string& data, size_t align = 64) {
  std::string padded = header;
  while (align != 0 && (padded.size() + 8) % align != 0) padded += ' ';
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(static_cast<uint64_t>(padded.size()) >> (8 * i));
  return file + padded + data;
}

class BundleWriter {
 public:
  nlohmann::json manifest = {{"anyon_format", 1}, {"programs", nlohmann::json::object()}};
  nlohmann::json metadata = {{"format", "anyon"}, {"anyon_version", "1"}};

  template <class T>
  void add(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
           const std::vector<T>& values) {
    const size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
    if (data_.size() % 64 != 0) {
      const size_t gap = 64 - data_.size() % 64;
      header_["__pad__." + std::to_string(fillers_++)] = {
          {"dtype", "U8"}, {"shape", {gap}}, {"data_offsets", {data_.size(), data_.size() + gap}}};
      data_.append(gap, '\0');
    }
  }
  void add(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values) {
    add<float>(name, "F32", shape, values);
  }

  // Packs W (n, k), row-major, as linear's panels.
  void add_panel16(const std::string& name, int64_t n, int64_t k, const std::vector<float>& weight) {
    std::vector<float> packed(static_cast<size_t>((n + 15) / 16 * 16 * k), 0.0f);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        packed[static_cast<size_t>((i / 16 * k + j) * 16 + i % 16)] = weight[static_cast<size_t>(i * k + j)];
      }
    }
    add(name, {(n + 15) / 16, k, 16}, packed);
  }

  nlohmann::json header() const {
    nlohmann::json header = header_;
    header["__metadata__"] = metadata;
    header["__metadata__"]["manifest"] = manifest.dump();
    return header;
  }
  const std::string& data() const { return data_; }
  std::string file() const { return raw_file(header().dump(), data_); }
  // The file as the exporter writes it: with the hash of its header.
  std::string hashed_file() const {
    nlohmann::json hashed = header();
    const std::string zeros(64, '0');
    hashed["__metadata__"][std::string(kHeaderHashKey)] = zeros;
    std::string file = raw_file(hashed.dump(), data_);
    const size_t digits = file.find(zeros);
    return file.replace(digits, 64,
                        header_hash(std::as_bytes(std::span(file)).first(file.size() - data_.size()), digits));
  }
  std::shared_ptr<const Bundle> open(const std::string& name = "test.anyon") const { return open_bytes(file(), name); }

  static std::shared_ptr<const Bundle> open_bytes(const std::string& file, const std::string& name = "test.anyon") {
    auto owner = std::make_shared<std::string>(file);
    return Bundle::from_memory(std::as_bytes(std::span(*owner)), owner, name);
  }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
  int fillers_ = 0;
};

}  // namespace anyon::testing
