// Every limit on what comes from outside, in one table. What exceeds one is refused with an Error that states it. They
// lie far above what published models need and bound memory and time; SECURITY.md lists them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anyon::limits {

// The bundle's file and header.
inline constexpr int64_t kHeaderBytes = 64 << 20;     // JSON header, manifest included; large-v3 needs 3 MiB
inline constexpr int64_t kTensors = 100'000;          // of a bundle, fillers included
inline constexpr int64_t kTensorNameBytes = 512;      // of a tensor's name
inline constexpr size_t kMetadataEntries = 64;        // of the header's __metadata__
inline constexpr int kRank = 8;                       // dimensions of a tensor
inline constexpr int kJsonDepth = 32;                 // objects and lists inside one another
inline constexpr int64_t kJsonValues = 4'000'000;     // objects, lists and scalars of one document
inline constexpr int64_t kMemory = int64_t{1} << 46;  // bytes of a program's values: what can be addressed

// Signatures.
inline constexpr size_t kSignatureBytes = size_t{4} << 20;  // of the JSON text
inline constexpr int kSignatureJsonDepth = 16;
inline constexpr int64_t kSignatureJsonValues = 100'000;
inline constexpr size_t kSignedFiles = 10'000;  // that one signature lists

// Programs: both kinds.
inline constexpr size_t kPrograms = 1024;                // of a bundle
inline constexpr size_t kPorts = 4096;                   // inputs of a program, and outputs
inline constexpr int64_t kDimension = int64_t{1} << 40;  // a size, a bound of one, or a state's capacity
inline constexpr size_t kText = 512;                     // bytes of a name
inline constexpr size_t kAttributes = 64;                // of one op or node

// Fused programs.
inline constexpr size_t kSymbols = 64;     // named dimensions
inline constexpr size_t kStates = 4096;    // of a program
inline constexpr size_t kOps = 100'000;    // of a program; large-v3's decoder has 500
inline constexpr size_t kOpValues = 1024;  // inputs of one op, and outputs

// Graph programs.
inline constexpr size_t kGraphSymbols = 256;            // named dimensions
inline constexpr size_t kGraphNodes = 200'000;          // of one block
inline constexpr size_t kNodeValues = 1 << 16;          // inputs of one node, and outputs
inline constexpr size_t kAttributeItems = 1 << 20;      // of an attribute that is a list
inline constexpr size_t kAttributeText = 1 << 16;       // bytes of an attribute that is text
inline constexpr int64_t kGraphIterations = 1'000'000;  // of all loops of one run together

// Tokenizers.
inline constexpr size_t kTokenizerText = size_t{64} << 20;  // bytes of tokenizer.json, vocab.json or merges.txt
inline constexpr int kTokenizerJsonDepth = 32;
inline constexpr int64_t kTokens = int64_t{1} << 20;   // with bytes of their own; and merges
inline constexpr int64_t kTokenId = int64_t{1} << 21;  // ids lie below it
inline constexpr size_t kTokenBytes = 4096;            // of one token, special ones too
inline constexpr size_t kSpecialTokens = 1 << 16;

// What a Whisper bundle says about its model.
inline constexpr int kVocabulary = 1 << 22;  // logits; above kTokenId only where tokens have no text
inline constexpr int kContext = 1 << 16;     // positions of the text and of the audio
inline constexpr int kLayers = 1024;
inline constexpr int kHeads = 1024;
inline constexpr int kHeadDim = 4096;
inline constexpr size_t kListedTokens = 4096;  // suppressed ones, languages, alignment heads: each list
inline constexpr size_t kLanguageCodeBytes = 64;

// Audio.
inline constexpr int kLowestSampleRate = 4'000;     // hertz
inline constexpr int kHighestSampleRate = 768'000;  // hertz
inline constexpr float kSampleMagnitude = 1e10F;    // of one sample; sound lies in -1..1

// Options and arguments.
inline constexpr int kThreads = 256;  // of one pool
inline constexpr int64_t kRows = 64;  // hypotheses or windows decoded at a time
inline constexpr size_t kTemperatures = 64;
inline constexpr double kSeconds = 1e9;  // of a time in a recording

}  // namespace anyon::limits
