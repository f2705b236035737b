// A SAX handler that knows the two levels of a safetensors header.
#include "bundle/header.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/limits.h"
#include "core/status.h"

namespace anyon {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, DType>, 13> kDTypes = {{{"F32", DType::kF32},
                                                                         {"F16", DType::kF16},
                                                                         {"BF16", DType::kBF16},
                                                                         {"F64", DType::kF64},
                                                                         {"I8", DType::kI8},
                                                                         {"U8", DType::kU8},
                                                                         {"I16", DType::kI16},
                                                                         {"U16", DType::kU16},
                                                                         {"I32", DType::kI32},
                                                                         {"U32", DType::kU32},
                                                                         {"I64", DType::kI64},
                                                                         {"U64", DType::kU64},
                                                                         {"BOOL", DType::kBool}}};

std::optional<DType> dtype_named(std::string_view text) {
  for (const auto& [name, dtype] : kDTypes) {
    if (name == text) return dtype;
  }
  return std::nullopt;
}

// A tensor's name for messages: short enough to read, whatever the file says.
std::string quoted_name(const std::string& name) {
  return "'" + (name.size() <= 100 ? name : name.substr(0, 100) + "...") + "'";
}

class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(Header& header, int64_t max_tensors, int64_t max_name_bytes)
      : header_(header), max_tensors_(max_tensors), max_name_bytes_(max_name_bytes) {}

  const std::string& problem() const { return problem_; }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool number_integer(number_integer_t) override {
    return place_ == Place::kShape || place_ == Place::kOffsets ? fail({tensor(), " has a negative number"})
                                                                : unexpected("a number");
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return unexpected("a number");
    if (value > static_cast<uint64_t>(INT64_MAX)) return fail({tensor(), " has a number that does not fit 63 bits"});
    const auto number = static_cast<int64_t>(value);
    if (place_ == Place::kShape) {
      if (dims_count_ == Shape::kMaxRank) return fail({tensor(), " has more than 8 dimensions"});
      dims_[dims_count_++] = number;
      return true;
    }
    if (offsets_count_ == 2) return fail({tensor(), " has more than two data offsets"});
    (offsets_count_++ == 0 ? header_.tensors.back().begin : header_.tensors.back().end) = number;
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadataValue) {
      header_.metadata.back().second = std::move(value);
      place_ = Place::kMetadata;
      return true;
    }
    if (place_ != Place::kDType) return unexpected("a string");
    const std::optional<DType> dtype = dtype_named(value);
    if (!dtype) return fail({tensor(), " has the unknown dtype ", quoted_name(value), " (made by a newer anyon?)"});
    header_.tensors.back().dtype = *dtype;
    place_ = Place::kTensor;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTensorValue) {
      place_ = Place::kTensor;
      seen_ = 0;
    } else if (place_ == Place::kMetadataStart) {
      place_ = Place::kMetadata;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (seen_ != (kSeenDType | kSeenShape | kSeenOffsets)) {
        return fail({tensor(), " lacks its dtype, shape or data_offsets"});
      }
      place_ = Place::kTop;
    } else if (place_ == Place::kMetadata) {
      place_ = Place::kTop;
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ == Place::kShapeStart) {
      place_ = Place::kShape;
      dims_count_ = 0;
    } else if (place_ == Place::kOffsetsStart) {
      place_ = Place::kOffsets;
      offsets_count_ = 0;
    } else {
      return unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kShape) {
      header_.tensors.back().shape = Shape(std::span(dims_).first(dims_count_));
    } else if (offsets_count_ != 2) {
      return fail({tensor(), " has fewer than two data offsets"});
    }
    place_ = Place::kTensor;
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kTop) return top_key(name);
    if (place_ == Place::kMetadata) {
      for (const auto& [known, value] : header_.metadata) {
        if (known == name) return fail({"__metadata__ has ", quoted_name(name), " twice"});
      }
      if (header_.metadata.size() == kMaxMetadata) return fail({"__metadata__ has too many entries"});
      header_.metadata.emplace_back(std::move(name), std::string());
      place_ = Place::kMetadataValue;
      return true;
    }
    return tensor_key(name);
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail({"not valid JSON at byte ", position});
  }

 private:
  static constexpr size_t kMaxMetadata = limits::kMetadataEntries;
  static constexpr int kSeenDType = 1, kSeenShape = 2, kSeenOffsets = 4;

  // What the next event must be, or which container is open.
  enum class Place {
    kStart,
    kTop,
    kMetadataStart,
    kMetadata,
    kMetadataValue,
    kTensorValue,
    kTensor,
    kDType,
    kShapeStart,
    kShape,
    kOffsetsStart,
    kOffsets,
  };

  bool top_key(string_t& name) {
    if (name == "__metadata__") {
      if (has_metadata_) return fail({"__metadata__ appears twice"});
      has_metadata_ = true;
      place_ = Place::kMetadataStart;
      return true;
    }
    if (name.empty()) return fail({"a tensor has an empty name"});
    if (static_cast<int64_t>(name.size()) > max_name_bytes_) {
      return fail({"a tensor's name has more than ", max_name_bytes_, " bytes"});
    }
    if (static_cast<int64_t>(header_.tensors.size()) == max_tensors_) {
      return fail({"more than ", max_tensors_, " tensors"});
    }
    header_.tensors.emplace_back().name = std::move(name);
    place_ = Place::kTensorValue;
    return true;
  }

  bool tensor_key(const string_t& name) {
    int bit = 0;
    if (name == "dtype") {
      bit = kSeenDType;
      place_ = Place::kDType;
    } else if (name == "shape") {
      bit = kSeenShape;
      place_ = Place::kShapeStart;
    } else if (name == "data_offsets") {
      bit = kSeenOffsets;
      place_ = Place::kOffsetsStart;
    } else {
      return fail({tensor(), " has the unknown field ", quoted_name(name)});
    }
    if ((seen_ & bit) != 0) return fail({tensor(), " has '", name, "' twice"});
    seen_ |= bit;
    return true;
  }

  std::string tensor() const {
    return header_.tensors.empty() ? "the header" : "tensor " + quoted_name(header_.tensors.back().name);
  }

  bool unexpected(const char* what) {
    const bool in_metadata =
        place_ == Place::kMetadataStart || place_ == Place::kMetadata || place_ == Place::kMetadataValue;
    const std::string where = place_ == Place::kStart ? "the header" : in_metadata ? "__metadata__" : tensor();
    return fail({where, " has ", what, " where something else belongs"});
  }

  bool fail(Parts problem) {
    problem_ = text_of(problem);
    return false;
  }

  Header& header_;
  const int64_t max_tensors_, max_name_bytes_;
  Place place_ = Place::kStart;
  bool has_metadata_ = false;
  int seen_ = 0;
  std::array<int64_t, Shape::kMaxRank> dims_{};
  size_t dims_count_ = 0;
  int offsets_count_ = 0;
  std::string problem_;
};

}  // namespace

Header parse_header(std::string_view text, const std::string& file, int64_t max_tensors, int64_t max_name_bytes) {
  Header header;
  HeaderReader reader(header, max_tensors, max_name_bytes);
  if (!Json::sax_parse(text.begin(), text.end(), &reader)) {
    throw_error(Status::kBadBundle, {file, ": header: ", reader.problem(), " (a damaged file?)"});
  }
  return header;
}

}  // namespace anyon
