#include "pipelines/whisper_model.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/status.h"

namespace anyon {

namespace {

using nlohmann::json;

[[noreturn]] void refuse(const Bundle& bundle, Parts what) {
  throw_error(Status::kBadBundle,
              {bundle.name(), ": manifest section 'tokenizer': ", what, ": convert the checkpoint again"});
}

const json& field(const Bundle& bundle, const json& section, const char* key, json::value_t type) {
  const auto found = section.find(key);
  const bool matches =
      found != section.end() &&
      (found->type() == type || (type == json::value_t::number_unsigned && found->is_number_unsigned()));
  if (!matches) refuse(bundle, {"'", key, "' is missing or has the wrong type"});
  return *found;
}

template <class T>
std::span<const T> array_tensor(const Bundle& bundle, const std::string& name, DType dtype) {
  const BundleTensor* tensor = bundle.find(name);
  if (tensor == nullptr || tensor->view.dtype != dtype) refuse(bundle, {"tensor '", name, "' is missing or mistyped"});
  return {tensor->view.as<const T>(), static_cast<size_t>(tensor->view.shape.elements())};
}

}  // namespace

BpeTokenizer tokenizer_of(const Bundle& bundle) {
  const auto found = bundle.manifest().find("tokenizer");
  if (found == bundle.manifest().end() || !found->is_object()) refuse(bundle, {"missing"});
  const json& section = *found;
  if (const json& type = field(bundle, section, "type", json::value_t::string); type != "byte_bpe") {
    refuse(bundle, {"type '", type.get<std::string>(), "' is not supported (known: byte_bpe)"});
  }
  BpeArrays arrays;
  arrays.offsets =
      array_tensor<uint32_t>(bundle, field(bundle, section, "offsets", json::value_t::string), DType::kU32);
  arrays.bytes = array_tensor<uint8_t>(bundle, field(bundle, section, "bytes", json::value_t::string), DType::kU8);
  const std::string merges = field(bundle, section, "merges", json::value_t::string);
  arrays.merges_by_id = merges == "id";
  if (!arrays.merges_by_id) arrays.merges = array_tensor<uint32_t>(bundle, merges, DType::kU32);
  arrays.n_vocab = field(bundle, section, "n_vocab", json::value_t::number_unsigned).get<int64_t>();
  for (const auto& [text, id] : field(bundle, section, "special", json::value_t::object).items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
      refuse(bundle, {"special '", text, "' has no valid id"});
    arrays.special.emplace_back(text, id.get<int32_t>());
  }
  return BpeTokenizer(std::move(arrays));
}

WhisperModel::WhisperModel(std::shared_ptr<const Bundle> from)
    : bundle(std::move(from)),
      info(WhisperInfo::from_manifest(bundle->manifest_text())),
      tokenizer(tokenizer_of(*bundle)) {}

}  // namespace anyon
