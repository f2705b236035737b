// Loading a bundle from a path, from memory, or through a callback.
#include <cstring>
#include <nlohmann/json.hpp>

#include "bundle/mapped_file.h"
#include "bundle/signature.h"
#include "capi/handles.h"
#include "capi/params.h"
#include "core/allocator.h"
#include "core/arena.h"
#include "core/limits.h"

namespace anyon::capi {

namespace {

class CallbackAllocator final : public Allocator {
 public:
  explicit CallbackAllocator(const anyon_allocator& functions) : functions_(functions) {}
  void* allocate(size_t bytes, size_t alignment) noexcept override {
    return functions_.allocate(functions_.user, bytes, alignment);
  }
  void release(void* memory, size_t bytes) noexcept override { functions_.release(functions_.user, memory, bytes); }

 private:
  const anyon_allocator functions_;
};

std::shared_ptr<Allocator> allocator_of(const anyon_allocator& functions) {
  if ((functions.allocate == nullptr) != (functions.release == nullptr)) {
    refuse({"allocator: allocate and release belong together: set both or neither"});
  }
  return functions.allocate == nullptr ? nullptr : std::make_shared<CallbackAllocator>(functions);
}

void report(const anyon_model_params& params, uint64_t done, uint64_t total) {
  if (params.progress != nullptr && params.progress(params.progress_user, done, total) != 0) {
    throw_error(Status::kCancelled, {"model: loading was cancelled"});
  }
}

std::shared_ptr<const Bundle> read_bundle(anyon_read_callback read, void* user, uint64_t total,
                                          const anyon_model_params& params,
                                          const std::shared_ptr<Allocator>& allocator) {
  constexpr uint64_t kPiece = 4 << 20;  // between two reports of progress
  if (total == 0) throw_error(Status::kBadBundle, {"bundle: it has no bytes (an incomplete download?)"});
  if (total > static_cast<uint64_t>(limits::kMemory)) refuse({"total_bytes: ", total, " is out of range"});
  const auto memory = std::make_shared<Arena>(static_cast<int64_t>(total), allocator);
  for (uint64_t done = 0; done < total;) {
    report(params, done, total);
    const uint64_t wanted = std::min(kPiece, total - done);
    const int64_t got = read(user, done, memory->data() + done, static_cast<size_t>(wanted));
    if (got <= 0 || static_cast<uint64_t>(got) > wanted) {
      throw_error(Status::kIoError,
                  {"bundle: reading ", wanted, " bytes at byte ", done, " of ", total, " gave ", got});
    }
    done += static_cast<uint64_t>(got);
  }
  const std::span<const std::byte> bytes(memory->data(), static_cast<size_t>(total));
  return Bundle::from_memory(bytes, memory, "bundle", allocator);
}

// The detached signature beside a bundle that was opened from a path.
std::string signature_beside(const Bundle& bundle) {
  if (!bundle.is_file()) refuse({"signature: NULL: a bundle that does not come from a path needs it beside its key"});
  const std::string path = bundle.name() + ".sig";
  try {
    const MappedFile file(path);
    if (file.bytes().size() > limits::kSignatureBytes) {
      throw_error(Status::kBadSignature, {path, ": is larger than any signature"});
    }
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  } catch (const Error& error) {
    if (error.status() == Status::kBadSignature) throw;
    throw_error(Status::kBadSignature, {error.what(), ": a public key asks for a signature, so give one"});
  }
}

// A signature covers every byte, so the hashes add nothing to it.
void verify(const Bundle& bundle, const anyon_model_params& params) {
  const auto keep_going = [&](int64_t done, int64_t total) {
    return params.progress == nullptr ||
           params.progress(params.progress_user, static_cast<uint64_t>(done), static_cast<uint64_t>(total)) == 0;
  };
  if (params.public_key_pem != nullptr) {
    const std::string signature =
        params.signature == nullptr ? signature_beside(bundle) : std::string(params.signature, params.signature_bytes);
    verify_signature(bundle, signature, params.public_key_pem, keep_going);
  } else if (params.verify_data != 0) {
    bundle.verify_data(keep_going);
  }
}

// Makes the handle, and loads it with what `open` opens.
template <class Open>
anyon_status load(const anyon_model_params* given, anyon_model** out, Open&& open) noexcept {
  if (out == nullptr) return ANYON_ERROR_INVALID_ARGUMENT;
  *out = new (std::nothrow) anyon_model();
  if (*out == nullptr) return ANYON_ERROR_OUT_OF_MEMORY;
  anyon_model& model = **out;
  Log log;
  const anyon_status status = guarded(model.error, [&] {
    const anyon_model_params params = read_params(given, anyon_model_params_default(), "anyon_model_params");
    log = {params.log, params.log_user};
    const Isa isa = params.isa == nullptr ? selected_isa() : parse_isa(params.isa);
    const std::shared_ptr<const Bundle> bundle = open(params, allocator_of(params.allocator));
    verify(*bundle, params);
    model.loaded = std::make_shared<LoadedModel>(bundle, isa, log);
    log(ANYON_LOG_INFO,
        bundle->name() + ": " + std::to_string(bundle->file_bytes()) + " bytes, kernels for " + name(isa));
  });
  if (status != ANYON_OK) log(ANYON_LOG_ERROR, model.error.text());
  return status;
}

}  // namespace

LoadedModel::LoadedModel(std::shared_ptr<const Bundle> bundle, Isa kernels, Log sink)
    : whisper(std::move(bundle)), isa(kernels), log(sink) {
  for (const auto& [field, value] : whisper.bundle->manifest().items()) {
    if (value.is_string()) texts.emplace_back(field, value.get<std::string>());
  }
  const auto source = whisper.bundle->manifest().find("source");
  if (source != whisper.bundle->manifest().end() && source->is_object()) {
    const auto licence = source->find("licence");
    if (licence != source->end() && licence->is_string()) texts.emplace_back("licence", licence->get<std::string>());
  }
  for (const auto& [code, token] : whisper.info.languages) languages.push_back(code);
  if (languages.empty()) languages.emplace_back("en");
}

}  // namespace anyon::capi

using namespace anyon;
using namespace anyon::capi;

anyon_status anyon_model_load(const char* path, const anyon_model_params* params, anyon_model** model) noexcept {
  return load(params, model, [&](const anyon_model_params&, std::shared_ptr<Allocator> allocator) {
    if (path == nullptr) refuse({"path: NULL"});
    return Bundle::open(path, std::move(allocator));
  });
}

anyon_status anyon_model_load_memory(const void* data, size_t bytes, void (*release)(void* user), void* user,
                                     const anyon_model_params* params, anyon_model** model) noexcept {
  bool owned = false;  // whether the bundle calls `release`
  const anyon_status status = load(params, model, [&](const anyon_model_params&, std::shared_ptr<Allocator> allocator) {
    if (data == nullptr) refuse({"data: NULL"});
    owned = true;  // also when there is no memory for the owner: it calls `release` then
    const std::shared_ptr<const void> owner(data, [release, user](const void*) {
      if (release != nullptr) release(user);
    });
    return Bundle::from_memory({static_cast<const std::byte*>(data), bytes}, owner, "bundle", std::move(allocator));
  });
  if (!owned && release != nullptr) release(user);
  return status;
}

anyon_status anyon_model_load_callback(anyon_read_callback read, void* user, uint64_t total_bytes,
                                       const anyon_model_params* params, anyon_model** model) noexcept {
  return load(params, model, [&](const anyon_model_params& known, const std::shared_ptr<Allocator>& allocator) {
    if (read == nullptr) refuse({"read: NULL"});
    return read_bundle(read, user, total_bytes, known, allocator);
  });
}

void anyon_model_free(anyon_model* model) noexcept {
  delete model;
}

const char* anyon_model_error(const anyon_model* model) noexcept {
  return model == nullptr ? "model: NULL" : model->error.text();
}

const char* anyon_model_text(const anyon_model* model, const char* field) noexcept {
  if (model == nullptr || !model->loaded || field == nullptr) return nullptr;
  for (const auto& [name, value] : model->loaded->texts) {
    if (name == field) return value.c_str();
  }
  return nullptr;
}

const char* anyon_model_manifest(const anyon_model* model) noexcept {
  return model == nullptr || !model->loaded ? "" : model->loaded->whisper.bundle->manifest_text().c_str();
}

uint64_t anyon_model_bytes(const anyon_model* model) noexcept {
  return model == nullptr || !model->loaded ? 0 : static_cast<uint64_t>(model->loaded->whisper.bundle->file_bytes());
}

const char* anyon_model_isa(const anyon_model* model) noexcept {
  return model == nullptr || !model->loaded ? "" : name(model->loaded->isa);
}

int32_t anyon_model_sample_rate(const anyon_model* model) noexcept {
  return model == nullptr || !model->loaded ? 0 : model->loaded->whisper.info.sample_rate;
}

const char* anyon_model_language(const anyon_model* model, size_t index) noexcept {
  if (model == nullptr || !model->loaded || index >= model->loaded->languages.size()) return nullptr;
  return model->loaded->languages[index].c_str();
}
