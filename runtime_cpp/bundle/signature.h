// Detached signatures of bundles in the layout of OpenSSF model signing, as `model_signing sign key` writes them.
#pragma once

#include <cstdint>
#include <string_view>

#include "bundle/bundle.h"
#include "core/function_ref.h"

namespace anyon {

// Checks that `signature_json` (a sigstore bundle with a DSSE envelope around an in-toto statement, whose predicate
// lists files with their SHA-256) verifies with the ECDSA P-256 key `public_key_pem`, and that it lists this very
// bundle: all its bytes, and its file's name where the bundle was opened from a path. Reads the whole file, so
// Bundle::verify_data adds nothing to it. Throws Error: kBadSignature (malformed, of another key, of another file or of
// other bytes), kInvalidArgument (the key is no such key), kBadBundle (the file was cut since it was opened).
void verify_signature(const Bundle& bundle, std::string_view signature_json, std::string_view public_key_pem);
// The same; asks every few MiB of the file whether to go on. Throws Error(kCancelled) when told not to.
void verify_signature(const Bundle& bundle, std::string_view signature_json, std::string_view public_key_pem,
                      FunctionRef<bool(int64_t done, int64_t total)> keep_going);

}  // namespace anyon
