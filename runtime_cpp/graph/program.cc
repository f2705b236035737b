// From the manifest's JSON to a GraphProgram; hostile JSON only ever yields an Error.
#include "graph/program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/limits.h"
#include "core/status.h"
#include "program/describe.h"
#include "program/json_reader.h"

namespace anyon::graph {
namespace {

constexpr size_t kMaxMissing = 20;  // nodes named in the message about ops that this build lacks

using Scope = std::unordered_map<std::string, int>;

class Parser {
 public:
  explicit Parser(GraphProgram& program) : program_(program) {}

  void parse(const JsonReader& json) {
    json.only({"kind", "dims", "opset", "inputs", "outputs", "states", "ops", "refused"});
    if (json.has("refused")) {
      // The exporter ran it and found that this backend cannot, or gives other results than PyTorch.
      throw Error(Status::kUnsupportedOp, program_.where + ": " + json.at("refused").text(limits::kAttributeText));
    }
    program_.opset = static_cast<int>(json.at("opset").integer(1, kNewestOpset));
    parse_symbols(json.at("dims"));
    scopes_.emplace_back();
    for (const JsonReader& item : json.at("inputs").items(limits::kPorts)) {
      program_.inputs.push_back(parse_port(item, program_.input_infos));
      program_.inputs.back().value = define(program_.input_infos.back().name, item);
    }
    parse_nodes(json.at("ops"), program_.main, program_.where + ": node ");
    for (const JsonReader& item : json.at("outputs").items(limits::kPorts)) {
      program_.outputs.push_back(parse_port(item, program_.output_infos));
      const int slot = use(program_.output_infos.back().name, item);
      program_.outputs.back().value = slot;
      program_.main.outputs.push_back(slot);
    }
    refuse_missing();
    find_last_uses(program_.main);
    program_.slots = next_slot_;
    program_.is_weight.assign(static_cast<size_t>(next_slot_), false);
    for (const auto& [slot, tensor] : program_.weights) program_.is_weight[static_cast<size_t>(slot)] = true;
  }

 private:
  void parse_symbols(const JsonReader& dims) {
    for (const auto& [name, bounds] : dims.members(limits::kGraphSymbols)) {
      const std::vector<JsonReader> pair = bounds.items(2);
      if (pair.size() != 2 || name.empty()) bounds.fail({"is not a named [smallest, largest]"});
      const int64_t min = pair[0].integer(0, limits::kDimension);
      program_.symbols.push_back({name, min, pair[1].integer(min, limits::kDimension)});
    }
  }

  ProgramPort parse_port(const JsonReader& json, std::vector<ValueInfo>& infos) {
    json.only({"name", "dtype", "shape"});
    const JsonReader dtype = json.at("dtype");
    const std::optional<DType> known = dtype_from_text(dtype.text());
    if (!known) dtype.fail({"'", dtype.text(), "' is not a type known to this version (made by a newer anyon?)"});
    ProgramPort port;
    port.dtype = *known;
    ValueInfo info{json.at("name").text(), *known, {}};
    for (const JsonReader& dim : json.at("shape").items(Shape::kMaxRank)) {
      if (!dim.is_text()) {
        port.dims.push_back({-1, dim.integer(0, limits::kDimension)});
        info.dims.push_back(std::to_string(port.dims.back().size));
        continue;
      }
      const auto found = std::find_if(program_.symbols.begin(), program_.symbols.end(),
                                      [&](const Symbol& symbol) { return symbol.name == dim.text(); });
      if (found == program_.symbols.end()) dim.fail({"'", dim.text(), "' is not among the program's dims"});
      port.dims.push_back({static_cast<int>(found - program_.symbols.begin()), 0});
      info.dims.push_back(dim.text());
    }
    infos.push_back(std::move(info));
    return port;
  }

  int define(const std::string& name, const JsonReader& where) {
    if (name.empty()) where.fail({"a value has no name"});
    if (!scopes_.back().emplace(name, next_slot_).second) where.fail({"'", name, "' is defined twice"});
    return next_slot_++;
  }

  // The slot of a value made before, here or in a block around this one, or of a tensor of the bundle.
  int use(const std::string& name, const JsonReader& where) {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto known = scope->find(name); known != scope->end()) return known->second;
    }
    const BundleTensor* tensor = program_.bundle->find(name);
    if (tensor == nullptr) {
      where.fail({"'", name.substr(0, 100), "' is neither a tensor nor made by a node before this one (a cycle?)"});
    }
    const int slot = next_slot_++;
    scopes_.front().emplace(name, slot);
    program_.weights.emplace_back(slot, weight(*tensor));
    return slot;
  }

  Tensor weight(const BundleTensor& stored) const {
    constexpr int64_t kMostEmpty = 1 << 20;  // of a dimension beside one that is 0
    for (const int64_t dim : stored.view.shape.dims()) {
      if (stored.view.bytes() == 0 && dim > kMostEmpty) {
        throw_error(Status::kBadProgram,
                    {program_.where, ": tensor '", stored.name, "' is empty and has a dimension of ", dim});
      }
    }
    Tensor tensor;
    static_cast<TensorView&>(tensor) = stored.view;
    tensor.defined = true;
    return tensor;
  }

  void parse_nodes(const JsonReader& list, Block& block, const std::string& where) {
    const std::vector<JsonReader> nodes = list.items(limits::kGraphNodes);
    block.nodes.reserve(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) parse_node(nodes[i], block, where + std::to_string(i));
  }

  void parse_node(const JsonReader& json, Block& block, const std::string& position) {
    json.only({"op", "name", "inputs", "outputs", "attrs"});
    const std::string& type = json.at("op").text();
    Node node;
    node.name = json.at("name").text();
    node.where = position + " (" + type.substr(0, 100) + (node.name.empty() ? "" : " '" + node.name + "'") + ")";
    const JsonReader here = json.called(node.where);
    node.row = find_op(type);
    if (node.row == nullptr) {
      missing(node.where, "op '" + type.substr(0, 100) + "'");
    } else if (program_.opset < node.row->since) {
      missing(node.where, "op '" + type + "' of opset " + std::to_string(program_.opset) + ", only from " +
                              std::to_string(node.row->since) + " on");
    }
    for (const JsonReader& item : here.at("inputs").items(limits::kNodeValues)) {
      node.inputs.push_back(item.text().empty() ? -1 : use(item.text(), here));
    }
    parse_attributes(here.at("attrs"), node);
    for (const JsonReader& item : here.at("outputs").items(limits::kNodeValues)) {
      node.outputs.push_back(item.text().empty() ? -1 : define(item.text(), here));
    }
    if (node.row != nullptr && program_.opset >= node.row->since) check_counts(node, here);
    block.nodes.push_back(std::move(node));
  }

  static void check_counts(const Node& node, const JsonReader& here) {
    const auto inputs = static_cast<int>(node.inputs.size()), outputs = static_cast<int>(node.outputs.size());
    if (inputs < node.row->min_inputs || inputs > node.row->max_inputs) {
      here.fail({"has ", inputs, " inputs, needs ", node.row->min_inputs, " to ", node.row->max_inputs});
    }
    for (int i = 0; i < node.row->min_inputs; ++i) {
      if (node.inputs[static_cast<size_t>(i)] < 0) here.fail({"input ", i, " is required"});
    }
    if (outputs > node.row->max_outputs) {
      here.fail({"has ", outputs, " outputs, gives ", node.row->max_outputs});
    }
  }

  void parse_attributes(const JsonReader& json, Node& node) {
    for (const auto& [name, value] : json.members(limits::kAttributes)) {
      if (node.row != nullptr && !takes(*node.row, name)) {
        missing(node.where, "attribute '" + name.substr(0, 100) + "' of " + node.row->name);
        continue;
      }
      node.attributes.add(name, parse_attribute(value, node));
    }
  }

  static bool takes(const OpRow& row, const std::string& attribute) {
    std::string_view names = row.attributes;
    while (!names.empty()) {
      const size_t end = std::min(names.find(' '), names.size());
      if (names.substr(0, end) == attribute) return true;
      names.remove_prefix(std::min(end + 1, names.size()));
    }
    return false;
  }

  Attribute parse_attribute(const JsonReader& json, const Node& node) {
    if (json.is_integer()) return json.integer(INT64_MIN, INT64_MAX);
    if (json.is_number()) return number(json);
    if (json.is_text()) return json.text(limits::kAttributeText);
    if (json.is_list()) return parse_list(json);
    json.only({"tensor", "number", "inputs", "outputs", "ops"});
    if (json.has("number")) return number(json.at("number"));
    if (json.has("tensor")) {
      const BundleTensor* stored = program_.bundle->find(json.at("tensor").text());
      if (stored == nullptr) json.fail({"names a tensor that the bundle lacks"});
      return weight(*stored);
    }
    return parse_block(json, node);
  }

  // JSON has no infinities: {"number": "inf"}.
  static double number(const JsonReader& json) {
    if (!json.is_text()) return json.number(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
    if (json.text() == "inf") return HUGE_VAL;
    if (json.text() == "-inf") return -HUGE_VAL;
    if (json.text() != "nan") json.fail({"is none of inf, -inf, nan"});
    return std::numeric_limits<double>::quiet_NaN();
  }

  static Attribute parse_list(const JsonReader& json) {
    const std::vector<JsonReader> items = json.items(limits::kAttributeItems);
    const auto all = [&](auto is) { return std::all_of(items.begin(), items.end(), is); };
    if (all([](const JsonReader& item) { return item.is_integer(); })) {
      std::vector<int64_t> list;
      for (const JsonReader& item : items) list.push_back(item.integer(INT64_MIN, INT64_MAX));
      return list;
    }
    if (all([](const JsonReader& item) { return item.is_text(); })) {
      std::vector<std::string> list;
      for (const JsonReader& item : items) list.push_back(item.text(limits::kAttributeText));
      return list;
    }
    std::vector<double> list;
    for (const JsonReader& item : items) list.push_back(number(item.is_object() ? item.at("number") : item));
    return list;
  }

  std::shared_ptr<const Block> parse_block(const JsonReader& json, const Node& node) {
    auto block = std::make_shared<Block>();
    scopes_.emplace_back();
    for (const JsonReader& item : json.at("inputs").items(limits::kNodeValues))
      block->inputs.push_back(define(item.text(), item));
    parse_nodes(json.at("ops"), *block, node.where + ": inner node ");
    for (const JsonReader& item : json.at("outputs").items(limits::kNodeValues))
      block->outputs.push_back(use(item.text(), item));
    scopes_.pop_back();
    blocks_.push_back(block);
    return block;
  }

  void missing(const std::string& where, const std::string& what) {
    ++missing_count_;
    if (missing_count_ <= kMaxMissing) missing_ += "\n  " + where + ": " + what;
  }

  void refuse_missing() const {
    if (missing_count_ == 0) return;
    const size_t more = missing_count_ > kMaxMissing ? missing_count_ - kMaxMissing : 0;
    throw_error(Status::kUnsupportedOp, {program_.where, ": this build lacks (use another backend, or upgrade):",
                                         missing_, (more == 0 ? "" : "\n  and " + std::to_string(more) + " more")});
  }

  // Every slot of a block is dropped behind the last node that reads it, itself or through a block inside it. Blocks
  // inside one another were finished first.
  void find_last_uses(Block& main) {
    for (const std::shared_ptr<Block>& block : blocks_) mark(*block);
    mark(main);
  }

  void mark(Block& block) {
    std::unordered_map<int, size_t> last;
    constexpr size_t kNever = SIZE_MAX, kKept = SIZE_MAX - 1;
    for (const int slot : block.inputs) last[slot] = kNever;
    for (size_t i = 0; i < block.nodes.size(); ++i) {
      for (const int slot : reads(block.nodes[i])) {
        if (const auto own = last.find(slot); own != last.end()) own->second = i;
      }
      for (const int slot : block.nodes[i].outputs) {
        if (slot >= 0) last[slot] = i;
      }
    }
    for (const int slot : block.outputs) {
      if (const auto own = last.find(slot); own != last.end()) own->second = kKept;
    }
    for (const auto& [slot, node] : last) {
      if (node == kNever) block.unread_inputs.push_back(slot);
      if (node < block.nodes.size()) block.nodes[node].last_uses.push_back(slot);
    }
  }

  std::vector<int> reads(const Node& node) const {
    std::vector<int> slots;
    for (const int slot : node.inputs) {
      if (slot >= 0) slots.push_back(slot);
    }
    for (const char* name : {"then_branch", "else_branch", "body"}) {
      if (!node.attributes.has(name)) continue;
      const Block& inner = node.attributes.block(name);
      slots.insert(slots.end(), inner.outputs.begin(), inner.outputs.end());
      for (const Node& each : inner.nodes) {
        const std::vector<int> deeper = reads(each);
        slots.insert(slots.end(), deeper.begin(), deeper.end());
      }
    }
    return slots;
  }

  GraphProgram& program_;
  std::vector<Scope> scopes_;
  std::vector<std::shared_ptr<Block>> blocks_;
  int next_slot_ = 0;
  size_t missing_count_ = 0;
  std::string missing_;
};

}  // namespace

bool is_graph_program(const Bundle& bundle, const std::string& name) {
  const JsonReader manifest(bundle.manifest(), bundle.name() + ": manifest");
  if (!manifest.has("programs") || !manifest.at("programs").is_object()) return false;
  const JsonReader programs = manifest.at("programs");
  if (!programs.has(name.c_str()) || !programs.at(name.c_str()).is_object()) return false;
  const JsonReader program = programs.at(name.c_str());
  return program.has("kind") && program.at("kind").text() == "graph";
}

GraphProgram parse_graph_program(std::shared_ptr<const Bundle> bundle, const std::string& name) {
  GraphProgram program;
  program.name = name;
  program.where = bundle->name() + ": program '" + name.substr(0, 100) + "'";
  const JsonReader json = JsonReader(bundle->manifest(), "").at("programs").at(name.c_str()).called(program.where);
  program.bundle = std::move(bundle);
  Parser(program).parse(json);
  return program;
}

}  // namespace anyon::graph
