#include "frontends/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/status.h"

namespace anyon {
namespace {

constexpr size_t kMaxDepth = limits::kTokenizerJsonDepth;

// The path element that elements of an array have: no key can be it, for keys are valid UTF-8.
constexpr std::string_view kElement = "\xFF";

// Walks JSON without building a tree and hands every scalar to value() with the path to it. Subclasses throw for what
// they do not accept.
class JsonWalker : public nlohmann::json_sax<nlohmann::json> {
 public:
  struct Scalar {
    enum class Kind { kNull, kBoolean, kInteger, kNumber, kString } kind = Kind::kNull;
    bool boolean = false;
    int64_t integer = 0;
    std::string_view string;
  };

  explicit JsonWalker(std::string file) : file_(std::move(file)) {}

  void walk(std::string_view text) {
    if (text.size() > kMaxTokenizerText) refuse({"larger than ", kMaxTokenizerText, " bytes"});
    nlohmann::json::sax_parse(text.begin(), text.end(), this);
  }

  [[noreturn]] void refuse(Parts what) const {
    throw_error(Status::kBadTokenizer, {file_, ": ", what, " (is this a byte-level BPE tokenizer, and complete?)"});
  }

  bool null() override { return scalar({}); }
  bool boolean(bool value) override { return scalar({Scalar::Kind::kBoolean, value, 0, {}}); }
  bool number_integer(int64_t value) override { return scalar({Scalar::Kind::kInteger, false, value, {}}); }
  bool number_unsigned(uint64_t value) override {
    const bool fits = value <= static_cast<uint64_t>(INT64_MAX);
    return scalar({fits ? Scalar::Kind::kInteger : Scalar::Kind::kNumber, false, static_cast<int64_t>(value), {}});
  }
  bool number_float(double, const std::string&) override { return scalar({Scalar::Kind::kNumber, false, 0, {}}); }
  bool string(std::string& value) override { return scalar({Scalar::Kind::kString, false, 0, value}); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(size_t) override {
    enter();
    keys_.emplace_back();
    path_.emplace_back();
    begin();
    return true;
  }
  bool key(std::string& value) override {
    path_.back() = value;
    if (!keys_.back().insert(value).second) refuse({where(), " stands twice"});
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    path_.pop_back();
    end();
    return true;
  }
  bool start_array(size_t) override {
    enter();
    path_.emplace_back(kElement);
    begin();
    return true;
  }
  bool end_array() override {
    path_.pop_back();
    end();
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    refuse({"not valid JSON at byte ", position});
  }

 protected:
  virtual void value(const Scalar& scalar) = 0;
  virtual void begin() {}  // an object or array has been entered, path() is its content's
  virtual void end() {}    // one has been left, path() is its own

  size_t depth() const { return path_.size(); }
  // The path begins with these elements; "*" stands for any.
  bool under(std::initializer_list<std::string_view> elements) const {
    if (path_.size() < elements.size()) return false;
    size_t i = 0;
    for (const std::string_view element : elements) {
      if (element != "*" && path_[i] != element) return false;
      ++i;
    }
    return true;
  }
  bool at(std::initializer_list<std::string_view> elements) const {
    return path_.size() == elements.size() && under(elements);
  }
  const std::string& last() const { return path_.back(); }
  std::string where() const {
    std::string out;
    for (const std::string& element : path_) {
      if (!out.empty()) out += '.';
      out += element == kElement ? "[]" : element.substr(0, 60);
    }
    return in_quotes(out);
  }

 private:
  bool scalar(const Scalar& found) {
    value(found);
    return true;
  }
  void enter() {
    if (path_.size() >= kMaxDepth) refuse({"nested deeper than ", kMaxDepth});
  }

  std::string file_;
  std::vector<std::string> path_;
  std::vector<std::unordered_set<std::string>> keys_;
};

using Scalar = JsonWalker::Scalar;

int64_t integer(const JsonWalker& walker, const Scalar& scalar, const std::string& where) {
  if (scalar.kind != Scalar::Kind::kInteger) walker.refuse({where, " is not an integer"});
  return scalar.integer;
}

bool is_set(const Scalar& scalar) {
  switch (scalar.kind) {
    case Scalar::Kind::kNull:
      return false;
    case Scalar::Kind::kBoolean:
      return scalar.boolean;
    case Scalar::Kind::kString:
      return !scalar.string.empty();
    default:
      return true;
  }
}

class VocabReader : public JsonWalker {
 public:
  explicit VocabReader(VocabularyBuilder& vocabulary) : JsonWalker("vocab.json"), vocabulary_(vocabulary) {}

 protected:
  void begin() override {
    if (!at({"*"}) || last() == kElement) refuse({"not an object of tokens and ids"});
  }
  void value(const Scalar& scalar) override {
    if (!at({"*"}) || last() == kElement) refuse({"not an object of tokens and ids"});
    vocabulary_.add_token(last(), integer(*this, scalar, where()));
  }

 private:
  VocabularyBuilder& vocabulary_;
};

class TokenizerReader : public JsonWalker {
 public:
  explicit TokenizerReader(VocabularyBuilder& vocabulary) : JsonWalker("tokenizer.json"), vocabulary_(vocabulary) {}

  void check_complete() const {
    if (!vocab_seen_) refuse({"'model.vocab' is missing"});
    if (!merges_seen_) refuse({"'model.merges' is missing"});
    if (!byte_level_) refuse({"'pre_tokenizer.type' is not 'ByteLevel'"});
    if (!decoder_) refuse({"'decoder.type' is not 'ByteLevel'"});
  }

 protected:
  void begin() override {
    if (at({"*"}) && last() == kElement) refuse({"not an object"});
    if (at({"model", "vocab", "*"})) vocab_seen_ = true;
    if (at({"model", "merges", kElement})) merges_seen_ = true;
    if (at({"model", "merges", kElement, kElement})) pair_.clear();
    if (at({"added_tokens", kElement, "*"})) added_text_.reset(), added_id_.reset();
  }

  void end() override {
    if (at({"model", "merges", kElement})) {
      if (pair_.size() != 2) refuse({"an entry of 'model.merges' is not two tokens"});
      vocabulary_.add_merge(pair_[0], pair_[1]);
    } else if (at({"added_tokens", kElement})) {
      if (!added_text_ || !added_id_) refuse({"an entry of 'added_tokens' lacks 'content' or 'id'"});
      vocabulary_.add_special(*added_text_, *added_id_);
    }
  }

  void value(const Scalar& scalar) override {
    if (under({"model"})) {
      model(scalar);
    } else if (under({"added_tokens"})) {
      added_token(scalar);
    } else if (under({"pre_tokenizer"})) {
      pre_tokenizer(scalar);
    } else if (at({"decoder", "type"})) {
      decoder_ = scalar.string == "ByteLevel";
    } else if (under({"normalizer"}) && is_set(scalar)) {
      refuse({"'normalizer' is not supported"});
    }
    // The rest (version, truncation, padding, post_processor) does not bear on turning text into ids and back.
  }

 private:
  void model(const Scalar& scalar) {
    if (at({"model", "vocab", "*"})) {
      vocabulary_.add_token(last(), integer(*this, scalar, where()));
    } else if (at({"model", "merges", kElement}) && scalar.kind == Scalar::Kind::kString) {
      vocabulary_.add_merge(scalar.string);
    } else if (at({"model", "merges", kElement, kElement}) && scalar.kind == Scalar::Kind::kString &&
               pair_.size() < 2) {
      pair_.emplace_back(scalar.string);
    } else if (under({"model", "vocab"}) || under({"model", "merges"})) {
      refuse({where(), " is not what a BPE model has there"});
    } else if (at({"model", "type"})) {
      if (scalar.string != "BPE") refuse({"'model.type' is ", in_quotes(scalar.string), ", not 'BPE'"});
    } else if (!at({"model", "unk_token"}) && !at({"model", "fuse_unk"}) && is_set(scalar)) {
      // dropout, continuing_subword_prefix, end_of_word_suffix, byte_fallback, ignore_merges, ...
      refuse({where(), " is not supported"});
    }
  }

  void added_token(const Scalar& scalar) {
    if (at({"added_tokens", kElement, "content"})) {
      if (scalar.kind != Scalar::Kind::kString) refuse({where(), " is not a string"});
      added_text_ = scalar.string;
    } else if (at({"added_tokens", kElement, "id"})) {
      added_id_ = integer(*this, scalar, where());
    } else if (at({"added_tokens", kElement, "single_word"}) || at({"added_tokens", kElement, "lstrip"}) ||
               at({"added_tokens", kElement, "rstrip"})) {
      if (is_set(scalar)) refuse({where(), " is not supported"});
    } else if (!at({"added_tokens", kElement, "normalized"}) && !at({"added_tokens", kElement, "special"})) {
      refuse({where(), " is not what an added token has"});
    }
  }

  void pre_tokenizer(const Scalar& scalar) {
    if (at({"pre_tokenizer", "type"})) {
      byte_level_ = scalar.string == "ByteLevel";
    } else if (at({"pre_tokenizer", "use_regex"})) {
      if (!is_set(scalar)) refuse({"'pre_tokenizer.use_regex' false is not supported"});
    } else if (!at({"pre_tokenizer"}) && !at({"pre_tokenizer", "trim_offsets"}) && is_set(scalar)) {
      refuse({where(), " is not supported"});
    }
  }

  VocabularyBuilder& vocabulary_;
  bool vocab_seen_ = false, merges_seen_ = false, byte_level_ = false, decoder_ = false;
  std::vector<std::string> pair_;
  std::optional<std::string> added_text_;
  std::optional<int64_t> added_id_;
};

}  // namespace

void read_tokenizer_json(std::string_view text, VocabularyBuilder& vocabulary) {
  TokenizerReader reader(vocabulary);
  reader.walk(text);
  reader.check_complete();
}

void read_vocab_json(std::string_view text, VocabularyBuilder& vocabulary) {
  VocabReader(vocabulary).walk(text);
}

void read_merges_txt(std::string_view text, VocabularyBuilder& vocabulary) {
  if (text.size() > kMaxTokenizerText) {
    throw_error(Status::kBadTokenizer,
                {"merges.txt: larger than ", kMaxTokenizerText, " bytes (is this the right file?)"});
  }
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const bool comment = first && line.starts_with("#version");
    first = false;
    if (!comment && !line.empty()) vocabulary.add_merge(line);
  }
}

}  // namespace anyon
