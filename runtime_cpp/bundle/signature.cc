// Envelope, then statement, then the file: nothing of the statement is read before its signature is verified.
#include "bundle/signature.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "bundle/hash_pieces.h"
#include "bundle/json.h"
#include "core/base64.h"
#include "core/limits.h"
#include "core/p256.h"
#include "core/sha256.h"

namespace anyon {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr std::string_view kPayloadType = "application/vnd.in-toto+json";
constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicateType = "https://model_signing/signature/v1.0";

struct Resource {
  std::string name, digest;  // 64 hexadecimal digits
};

struct Statement {
  std::string subject;
  std::vector<Resource> resources;
};

// Reads the documents of one signature; `where_` starts every message.
class SignatureReader {
 public:
  explicit SignatureReader(std::string where) : where_(std::move(where)) {}

  [[noreturn]] void fail(Parts problem) const { throw_error(Status::kBadSignature, {where_, ": ", problem}); }

  // The statement that the envelope carries, once its signature has been verified.
  Statement read(std::string_view text, const P256PublicKey& key) const;

 private:
  Json parse(std::string_view text, const char* what) const {
    constexpr JsonLimits kLimits = {.depth = limits::kSignatureJsonDepth, .values = limits::kSignatureJsonValues};
    return parse_json(text, where_ + ": " + what, kLimits, Status::kBadSignature);
  }

  const Json& member(const Json& object, const char* key) const {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (found == object.end()) fail({"it has no '", key, "'"});
    return *found;
  }
  const std::string& text(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (!value.is_string()) fail({"'", key, "' is not text"});
    return value.get_ref<const std::string&>();
  }
  const Json::array_t& list(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (!value.is_array()) fail({"'", key, "' is not a list"});
    return value.get_ref<const Json::array_t&>();
  }
  void expect(const Json& object, const char* key, std::string_view expected) const {
    const std::string& actual = text(object, key);
    if (actual != expected) {
      fail({"'", key, "' is '", actual.substr(0, 100), "', only '", expected, "' can be verified"});
    }
  }
  std::string bytes(const Json& object, const char* key) const {
    std::optional<std::string> decoded = base64_bytes(text(object, key));
    if (!decoded) fail({"'", key, "' is not base64"});
    return *std::move(decoded);
  }
  const std::string& digits(const Json& object, const char* key) const {
    const std::string& value = text(object, key);
    if (value.size() != 64 || value.find_first_not_of("0123456789abcdef") != std::string::npos) {
      fail({"'", key, "' is not a SHA-256 of 64 lower-case hexadecimal digits"});
    }
    return value;
  }

  void verify_envelope(const Json& envelope, const std::string& payload, const P256PublicKey& key) const;
  Statement statement_of(const Json& json) const;

  const std::string where_;
};

void SignatureReader::verify_envelope(const Json& envelope, const std::string& payload,
                                      const P256PublicKey& key) const {
  const Json::array_t& signatures = list(envelope, "signatures");
  if (signatures.size() != 1) fail({"it has ", signatures.size(), " signatures instead of one"});
  const std::string signature = bytes(signatures[0], "sig");
  // What is signed is DSSE's pre-authentication encoding, which ties the payload to its type.
  std::string signed_text = "DSSEv1 " + std::to_string(kPayloadType.size()) + " ";
  signed_text += kPayloadType;
  signed_text += " " + std::to_string(payload.size()) + " " + payload;
  Sha256 hash;
  hash.update(std::as_bytes(std::span(signed_text)));
  if (!key.verify(hash.finish(), {reinterpret_cast<const uint8_t*>(signature.data()), signature.size()})) {
    fail({"it does not verify with this key (made with another key, or changed since)"});
  }
}

Statement SignatureReader::statement_of(const Json& json) const {
  expect(json, "_type", kStatementType);
  expect(json, "predicateType", kPredicateType);
  const Json::array_t& subjects = list(json, "subject");
  if (subjects.size() != 1) fail({"it has ", subjects.size(), " subjects instead of one"});
  Statement statement{text(subjects[0], "name"), {}};

  const Json& predicate = member(json, "predicate");
  const Json& serialization = member(predicate, "serialization");
  expect(serialization, "method", "files");
  expect(serialization, "hash_type", "sha256");
  const Json::array_t& resources = list(predicate, "resources");
  if (resources.empty()) fail({"it lists no file"});
  if (resources.size() > limits::kSignedFiles) fail({"it lists more than ", limits::kSignedFiles, " files"});
  Sha256 all;
  std::set<std::string> names;
  for (const Json& resource : resources) {
    expect(resource, "algorithm", "sha256");
    const std::string& digest = digits(resource, "digest");
    std::array<uint8_t, 32> raw{};
    for (size_t i = 0; i < 64; ++i) {
      raw[i / 2] = static_cast<uint8_t>(raw[i / 2] << 4 | (digest[i] <= '9' ? digest[i] - '0' : digest[i] - 'a' + 10));
    }
    all.update(std::as_bytes(std::span(raw)));
    statement.resources.push_back({text(resource, "name"), digest});
    if (!names.insert(statement.resources.back().name).second) {
      fail({"it lists '", statement.resources.back().name.substr(0, 100), "' twice"});
    }
  }
  if (hex_text(all.finish()) != digits(member(subjects[0], "digest"), "sha256")) {
    fail({"its subject's hash is not that of the files it lists"});
  }
  return statement;
}

Statement SignatureReader::read(std::string_view signature, const P256PublicKey& key) const {
  if (signature.size() > limits::kSignatureBytes) fail({"it has more than ", limits::kSignatureBytes, " bytes"});
  const Json json = parse(signature, "not a sigstore bundle");
  expect(json, "mediaType", kMediaType);
  const Json& material = member(json, "verificationMaterial");
  if (!material.is_object() || !material.contains("publicKey")) {
    fail({"it was not made with a key (only `model_signing sign key` can be verified, no certificates)"});
  }
  const Json& envelope = member(json, "dsseEnvelope");
  expect(envelope, "payloadType", kPayloadType);
  const std::string payload = bytes(envelope, "payload");
  verify_envelope(envelope, payload, key);
  return statement_of(parse(payload, "statement"));
}

std::string_view last_part(std::string_view path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The listed files that may be this bundle. One that lies in memory has no name to compare.
std::vector<Resource> candidates(const Statement& statement, const Bundle& bundle, const SignatureReader& reader) {
  if (!bundle.is_file()) return statement.resources;
  const std::string_view name = last_part(bundle.name());
  // A signature of one file calls it "." and gives its name to the subject.
  if (statement.resources.size() == 1 && statement.resources[0].name == ".") {
    if (statement.subject != name) {
      reader.fail({"it is for '", statement.subject.substr(0, 100),
                   "', this file has another name (rename it back, or sign it under its new name)"});
    }
    return statement.resources;
  }
  std::vector<Resource> named;
  for (const Resource& resource : statement.resources) {
    if (last_part(resource.name) == name) named.push_back(resource);
  }
  if (named.empty()) {
    reader.fail({"it lists ", statement.resources.size(), " files of '", statement.subject.substr(0, 100),
                 "', and none of them is called '", name, "'"});
  }
  return named;
}

}  // namespace

void verify_signature(const Bundle& bundle, std::string_view signature_json, std::string_view public_key_pem) {
  verify_signature(bundle, signature_json, public_key_pem, [](int64_t, int64_t) { return true; });
}

void verify_signature(const Bundle& bundle, std::string_view signature_json, std::string_view public_key_pem,
                      FunctionRef<bool(int64_t done, int64_t total)> keep_going) {
  const P256PublicKey key = P256PublicKey::from_pem(public_key_pem);
  const SignatureReader reader(bundle.name() + ": signature");
  const Statement statement = reader.read(signature_json, key);
  const std::vector<Resource> signed_files = candidates(statement, bundle, reader);
  bundle.check_not_cut();
  const std::string actual = hash_in_pieces(bundle.bytes(), bundle.name(), keep_going);
  for (const Resource& resource : signed_files) {
    if (resource.digest == actual) return;
  }
  reader.fail({"it is for a file with SHA-256 ", signed_files[0].digest, ", this one has ", actual,
               " (changed since it was signed; make or download it again)"});
}

}  // namespace anyon
