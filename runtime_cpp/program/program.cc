// From the manifest's JSON to a Program; hostile JSON only ever yields an Error.
#include "program/program.h"

#include <algorithm>
#include <unordered_map>

#include "core/limits.h"
#include "core/status.h"
#include "program/describe.h"
#include "program/json_reader.h"

namespace anyon {
namespace {

constexpr int kPaddedInputs = 16;  // ops with at most so many inputs find -1 for those left out at the end

class Parser {
 public:
  explicit Parser(Program& program) : program_(program) {}

  void parse(const JsonReader& json) {
    parse_symbols(json.at("dims"));
    for (const JsonReader& item : json.at("inputs").items(limits::kPorts)) parse_input(item);
    if (json.has("states")) {
      for (const JsonReader& item : json.at("states").items(limits::kStates)) parse_state(item);
    }
    parse_ops(json.at("ops"));
    for (const JsonReader& item : json.at("outputs").items(limits::kPorts)) parse_output(item);
    resolve_updates();
    check_symbols_are_bound();
  }

 private:
  static const std::string& name_in(const JsonReader& owner) {
    const JsonReader name = owner.at("name");
    const std::string& text = name.text();
    if (text.empty()) name.fail({"is empty"});
    return text;
  }

  void parse_symbols(const JsonReader& dims) {
    for (const auto& [name, bounds] : dims.members(limits::kSymbols)) {
      if (name.empty() || (name[0] >= '0' && name[0] <= '9')) bounds.fail({"is not a name for a dimension"});
      const std::vector<JsonReader> pair = bounds.items(2);
      if (pair.size() != 2) bounds.fail({"is not [smallest, largest]"});
      const int64_t min = pair[0].integer(0, limits::kDimension);
      program_.symbols.push_back({name, min, pair[1].integer(min, limits::kDimension)});
    }
  }

  std::vector<Dim> parse_dims(const JsonReader& shape) {
    std::vector<Dim> dims;
    for (const JsonReader& item : shape.items(Shape::kMaxRank)) {
      dims.push_back(item.is_text() ? Dim{symbol_named(item), 0} : Dim{-1, item.integer(0, limits::kDimension)});
    }
    return dims;
  }

  int symbol_named(const JsonReader& name) const {
    for (size_t i = 0; i < program_.symbols.size(); ++i) {
      if (program_.symbols[i].name == name.text()) return static_cast<int>(i);
    }
    name.fail({"'", name.text(), "' is not among the program's dims"});
  }

  static DType parse_dtype(const JsonReader& dtype) {
    const std::optional<DType> known = dtype_from_text(dtype.text());
    if (!known) dtype.fail({"'", dtype.text(), "' is not a type known to this version (made by a newer anyon?)"});
    return *known;
  }

  ValueInfo info_of(const std::string& name, DType dtype, const std::vector<Dim>& dims) const {
    ValueInfo info{name, dtype, {}};
    for (const Dim& dim : dims) {
      info.dims.push_back(dim.symbol >= 0 ? program_.symbols[static_cast<size_t>(dim.symbol)].name
                                          : std::to_string(dim.size));
    }
    return info;
  }

  // A new value; fails when the name is taken, also by a tensor, because a reader could not tell which is meant.
  int define(const std::string& name, ValueKind kind, const JsonReader& where) {
    if (program_.bundle->find(name) != nullptr) where.fail({"'", name, "' is also the name of a tensor"});
    const int index = static_cast<int>(program_.values.size());
    if (!by_name_.emplace(name, index).second) where.fail({"'", name, "' is defined twice"});
    program_.values.push_back({name, kind, false, {}});
    return index;
  }

  void parse_input(const JsonReader& json) {
    json.only({"name", "dtype", "shape", "broadcast", "held"});
    const std::string& name = name_in(json);
    ProgramPort port;
    port.dtype = parse_dtype(json.at("dtype"));
    port.dims = parse_dims(json.at("shape"));
    port.broadcast = json.has("broadcast") && json.at("broadcast").boolean();
    if (port.broadcast && (port.dims.empty() || port.dims[0].symbol < 0)) {
      json.fail({"a broadcast input needs a named dimension as axis 0"});
    }
    port.held = json.has("held") && json.at("held").boolean();
    port.value = define(name, ValueKind::kInput, json);
    program_.values.back().held = port.held;
    program_.values.back().of_slot = port.held || port.broadcast;
    program_.input_infos.push_back(info_of(name, port.dtype, port.dims));
    program_.inputs.push_back(std::move(port));
  }

  void parse_state(const JsonReader& json) {
    json.only({"name", "dtype", "shape", "kind", "axis", "capacity", "update", "onnx_input", "onnx_output"});
    ProgramState state;
    state.name = name_in(json);
    state.dtype = parse_dtype(json.at("dtype"));
    state.dims = parse_dims(json.at("shape"));
    if (state.dims.empty() || state.dims[0].symbol < 0)
      json.fail({"axis 0 of a state is the batch, a named dimension"});
    const std::string& kind = json.at("kind").text();
    if (kind == "append") {
      const auto rank = static_cast<int64_t>(state.dims.size());
      if (rank < 2) json.fail({"a growing state needs an axis to grow along"});
      state.axis = static_cast<int>(json.at("axis").integer(1, rank - 1));
      state.capacity = json.at("capacity").integer(1, limits::kDimension);
      // Its name is no value: only the op that appends to it reads it.
      if (program_.bundle->find(state.name) != nullptr || !by_name_.emplace(state.name, kAppendStateName).second) {
        json.fail({"'", state.name, "' is defined twice"});
      }
    } else if (kind == "replace") {
      state.kind = StateKind::kReplace;
      program_.has_slots = false;  // ops read it as a whole, with the batch of the run
      state.value = define(state.name, ValueKind::kState, json);
      updates_.emplace_back(program_.states.size(), json.at("update"));
    } else {
      json.at("kind").fail({"'", kind, "' is neither append nor replace (made by a newer anyon?)"});
    }
    for (size_t axis = 1; axis < state.dims.size(); ++axis) {
      const bool grows = state.kind == StateKind::kAppend && static_cast<int>(axis) == state.axis;
      if (!grows && state.dims[axis].symbol >= 0) {
        json.fail({"axis ", axis, " of the state must be a number, it outlives runs"});
      }
    }
    program_.states.push_back(std::move(state));
  }

  void parse_ops(const JsonReader& list) {
    std::vector<int> writer(program_.states.size(), -1);
    const std::vector<JsonReader> ops = list.items(limits::kOps);
    program_.ops.reserve(ops.size());
    for (size_t i = 0; i < ops.size(); ++i) {
      const std::string position = program_.where + ": op " + std::to_string(i);
      for (const int state : parse_op(ops[i].called(position), static_cast<int>(i))) {
        int& first = writer[static_cast<size_t>(state)];
        if (first >= 0) {
          list.fail({"ops ", first, " and ", i, " both append to state '",
                     program_.states[static_cast<size_t>(state)].name, "'"});
        }
        first = static_cast<int>(i);
      }
    }
    for (size_t i = 0; i < writer.size(); ++i) {
      if (program_.states[i].kind == StateKind::kAppend && writer[i] < 0) {
        list.fail({"no op appends to state '", program_.states[i].name, "'"});
      }
    }
  }

  // Returns the states the op appends to.
  std::vector<int> parse_op(const JsonReader& json, int index) {
    json.only({"op", "name", "inputs", "outputs", "attrs"});
    const std::string& type = json.at("op").text();
    const std::string& name = json.at("name").text();
    const OpRow* row = find_op(type);
    const std::string where = json.where() + " (" + type.substr(0, 100) + (name.empty() ? "" : " '" + name + "'") + ")";
    if (row == nullptr) {
      throw_error(Status::kUnsupportedOp, {where, ": this build has no op '", type,
                                           "' (made by a newer anyon? upgrade, or use another backend)"});
    }
    ProgramOp op;
    op.row = row;
    op.name = name;
    op.index = index;
    parse_op_values(json.called(where), op);
    AttrReader attrs(json.at("attrs"), where, program_.states);
    op.op = row->make(attrs);
    attrs.finish();
    mark_slots(op, !attrs.written_states().empty());
    program_.ops.push_back(std::move(op));
    return attrs.written_states();
  }

  void parse_op_values(const JsonReader& json, ProgramOp& op) {
    for (const JsonReader& item : json.at("inputs").items(limits::kOpValues)) {
      const std::string& name = item.text();
      const auto position = static_cast<int>(op.inputs.size());
      if (name.empty() && position < op.row->min_inputs) item.fail({"is required"});
      op.inputs.push_back(name.empty() ? -1 : use(name, item));
    }
    const auto inputs = static_cast<int>(op.inputs.size());
    if (inputs < op.row->min_inputs || inputs > op.row->max_inputs) {
      json.fail({"has ", inputs, " inputs, needs ", op.row->min_inputs,
                 (op.row->min_inputs == op.row->max_inputs ? "" : " to " + std::to_string(op.row->max_inputs))});
    }
    if (op.row->max_inputs <= kPaddedInputs) op.inputs.resize(static_cast<size_t>(op.row->max_inputs), -1);
    for (const JsonReader& item : json.at("outputs").items(limits::kOpValues)) {
      if (item.text().empty()) item.fail({"is empty"});
      op.outputs.push_back(define(item.text(), ValueKind::kComputed, item));
    }
    op.held = depends_on_held_inputs_alone(op);
    for (const int output : op.outputs) {
      program_.values[static_cast<size_t>(output)].held = program_.values[static_cast<size_t>(output)].of_slot =
          op.held;
    }
    if (static_cast<int>(op.outputs.size()) != op.row->outputs) {
      json.fail({"has ", op.outputs.size(), " outputs, needs ", op.row->outputs});
    }
  }

  // What is computed again in every run from a slot's inputs alone would have to be kept by slot; no model needs it.
  void mark_slots(ProgramOp& op, bool writes_states) {
    bool reads_slot = false, reads_rows = false;
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const Value& value = program_.values[static_cast<size_t>(input)];
      reads_slot = reads_slot || value.of_slot;
      reads_rows = reads_rows || (!value.of_slot && value.kind != ValueKind::kWeight);
    }
    op.by_slot = !op.held && (reads_slot || writes_states);
    if (reads_slot && !reads_rows && !op.held) program_.has_slots = false;
  }

  // Weights may be read as well; an op that reads nothing but weights is no such op.
  bool depends_on_held_inputs_alone(const ProgramOp& op) const {
    bool any = false;
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const Value& value = program_.values[static_cast<size_t>(input)];
      if (!value.held && value.kind != ValueKind::kWeight) return false;
      any = any || value.held;
    }
    return any;
  }

  // The value or tensor an op reads. Tensors become values when they are first used.
  int use(const std::string& name, const JsonReader& where) {
    const auto known = by_name_.find(name);
    if (known != by_name_.end()) {
      if (known->second == kAppendStateName) where.fail({"'", name, "' is a growing state; only attention reads it"});
      return known->second;
    }
    const BundleTensor* tensor = program_.bundle->find(name);
    if (tensor == nullptr) where.fail({"'", name, "' is neither a tensor nor made by an op before this one"});
    const int index = static_cast<int>(program_.values.size());
    by_name_.emplace(name, index);
    program_.values.push_back({name, ValueKind::kWeight, false, tensor->view});
    return index;
  }

  void parse_output(const JsonReader& json) {
    json.only({"name", "dtype", "shape"});
    const std::string& name = name_in(json);
    ProgramPort port;
    port.dtype = parse_dtype(json.at("dtype"));
    port.dims = parse_dims(json.at("shape"));
    port.value = use(name, json);
    program_.output_infos.push_back(info_of(name, port.dtype, port.dims));
    program_.outputs.push_back(std::move(port));
  }

  void resolve_updates() {
    for (const auto& [state, update] : updates_) {
      const int value = use(update.text(), update);
      if (program_.values[static_cast<size_t>(value)].kind != ValueKind::kComputed) {
        update.fail({"'", update.text(), "' is not the output of an op"});
      }
      program_.states[state].update = value;
    }
  }

  // Sizes come from inputs alone, so that a run knows every shape before it starts.
  void check_symbols_are_bound() const {
    std::vector<bool> bound(program_.symbols.size(), false);
    for (const ProgramPort& input : program_.inputs) {
      for (size_t axis = input.broadcast ? 1 : 0; axis < input.dims.size(); ++axis) {
        if (input.dims[axis].symbol >= 0) bound[static_cast<size_t>(input.dims[axis].symbol)] = true;
      }
    }
    const auto require = [&](const Dim& dim, const std::string& who) {
      if (dim.symbol >= 0 && !bound[static_cast<size_t>(dim.symbol)]) {
        throw_error(Status::kBadProgram,
                    {program_.where, ": ", who, " uses the dimension '",
                     program_.symbols[static_cast<size_t>(dim.symbol)].name, "', which no input gives"});
      }
    };
    for (size_t i = 0; i < program_.inputs.size(); ++i) {
      if (program_.inputs[i].broadcast) {
        require(program_.inputs[i].dims[0], "input '" + program_.input_infos[i].name + "'");
      }
    }
    for (const ProgramState& state : program_.states) require(state.dims[0], "state '" + state.name + "'");
  }

  static constexpr int kAppendStateName = -2;

  Program& program_;
  std::unordered_map<std::string, int> by_name_;
  std::vector<std::pair<size_t, JsonReader>> updates_;
};

}  // namespace

Program parse_program(std::shared_ptr<const Bundle> bundle, const std::string& name) {
  const JsonReader programs = JsonReader(bundle->manifest(), bundle->name() + ": manifest").at("programs");
  if (!programs.has(name.c_str())) {
    std::string known;
    for (const auto& [other, json] : programs.members(limits::kPrograms)) known += (known.empty() ? "" : ", ") + other;
    throw_error(Status::kInvalidArgument,
                {bundle->name(), ": has no program '", name, "'; it has ", (known.empty() ? "none" : known)});
  }
  Program program;
  program.name = name;
  program.where = bundle->name() + ": program '" + name.substr(0, 100) + "'";
  const JsonReader json = programs.at(name.c_str()).called(program.where);
  program.bundle = std::move(bundle);
  Parser(program).parse(json);
  return program;
}

}  // namespace anyon
