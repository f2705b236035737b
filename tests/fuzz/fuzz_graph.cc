// Runs small graphs of any ops on tensors of any type and shape with any attributes, all chosen by the input's bytes.
// Whatever happens, only anyon::Error may come out, within the memory and the iterations a session is given.
#include <algorithm>

#include "../cpp/bundle_writer.h"
#include "graph/convert.h"
#include "graph/graph_session.h"
#include "program/describe.h"

namespace {

using namespace anyon;
using Json = nlohmann::json;

constexpr int64_t kMaxMemory = 1 << 20, kMaxIterations = 50;

// The input's bytes, and zeros behind them.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  uint32_t next() { return at_ < size_ ? data_[at_++] : 0; }
  uint32_t below(size_t count) { return static_cast<uint32_t>((next() << 8 | next()) % count); }
  bool once_in(uint32_t times) { return next() % times == 0; }
  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[below(list.size())];
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

const std::vector<int64_t> kNumbers = {
    0, 1, 2, 3, 4, 5, 7, 16, -1, -2, -3, 8, 100, 1 << 20, INT32_MAX, int64_t{1} << 40, INT64_MAX, INT64_MIN};
const std::vector<std::string> kTexts = {"constant",
                                         "edge",
                                         "reflect",
                                         "wrap",
                                         "linear",
                                         "cubic",
                                         "nearest",
                                         "SAME_UPPER",
                                         "SAME_LOWER",
                                         "VALID",
                                         "NOTSET",
                                         "forward",
                                         "reverse",
                                         "bidirectional",
                                         "none",
                                         "add",
                                         "mul",
                                         "max",
                                         "min",
                                         "DCR",
                                         "CRD",
                                         "LEFT",
                                         "RIGHT",
                                         "tanh",
                                         "border",
                                         "zeros",
                                         "reflection",
                                         "half_pixel",
                                         "align_corners",
                                         "asymmetric",
                                         "tf_crop_and_resize",
                                         "floor",
                                         "ceil",
                                         "not_larger",
                                         "not_smaller",
                                         "circular",
                                         "avg",
                                         "ij,jk->ik",
                                         "...i,...i->...",
                                         "ii->i",
                                         "bij,bjk",
                                         "f32",
                                         "f16",
                                         "bf16",
                                         "f64",
                                         "i8",
                                         "u8",
                                         "i64",
                                         "bool",
                                         "i4",
                                         "f8e4m3fn",
                                         "f8e8m0",
                                         "Sigmoid",
                                         ""};
const std::vector<std::pair<const char*, const char*>> kTypes = {
    {"F32", "f32"}, {"I64", "i64"}, {"F16", "f16"}, {"BF16", "bf16"}, {"F64", "f64"}, {"I8", "i8"},    {"U8", "u8"},
    {"I16", "i16"}, {"U16", "u16"}, {"I32", "i32"}, {"U32", "u32"},   {"U64", "u64"}, {"BOOL", "bool"}};

// Bytes of one element that is a small number of its type.
std::string element(const std::string& type, int64_t value) {
  const DType dtype = *dtype_from_text(type);
  const Shape one;
  uint64_t bits = 0;
  if (dtype == DType::kBool) value = value != 0;
  graph::convert({DType::kI64, one, &value}, {dtype, one, &bits});
  return {reinterpret_cast<const char*>(&bits), static_cast<size_t>(size_of(dtype))};
}

void add_tensor(Choices& choices, testing::BundleWriter& writer, const std::string& name) {
  const auto& [stored, type] = choices.once_in(2) ? kTypes[choices.below(2)] : choices.of(kTypes);
  std::vector<int64_t> shape(choices.below(6));
  int64_t elements = 1;
  for (int64_t& dim : shape) {
    dim = choices.of(std::vector<int64_t>{1, 2, 3, 4, 5, 0});
    elements *= dim;
  }
  std::string data;
  for (int64_t i = 0; i < elements; ++i) data += element(type, choices.once_in(8) ? choices.of(kNumbers) : i % 5 - 1);
  writer.add<char>(name, stored, shape, std::vector<char>(data.begin(), data.end()));
}

Json plain_node(const char* type, const Json& inputs, const char* output) {
  return {
      {"op", type}, {"name", ""}, {"inputs", inputs}, {"outputs", Json::array({output})}, {"attrs", Json::object()}};
}

Json attribute(Choices& choices, const std::vector<std::string>& tensors) {
  switch (choices.below(8)) {
    case 0:
      return choices.of(kTexts);
    case 1:
      return choices.of(std::vector<double>{0.5, -1.5, 1e30, 0.0, 1e-30, 3.25});
    case 2:
    case 3: {
      Json list = Json::array();
      for (uint32_t i = choices.below(7); i > 0; --i) list.push_back(choices.of(kNumbers));
      return list;
    }
    case 4:
      return Json{{"inputs", {"i", "c", "s"}},
                  {"outputs", {"c", "r"}},
                  {"ops", Json::array({plain_node("Neg", Json::array({"s"}), "r")})}};
    default:
      return kNumbers[choices.below(10)];
  }
}

Json node(Choices& choices, const graph::OpRow& row, std::vector<std::string>& values, size_t number) {
  Json inputs = Json::array(), outputs = Json::array(), attributes = Json::object();
  const auto most = static_cast<size_t>(std::min(row.max_inputs, row.min_inputs + 4));
  const size_t count =
      static_cast<size_t>(row.min_inputs) + choices.below(most - static_cast<size_t>(row.min_inputs) + 1);
  for (size_t i = 0; i < count; ++i) {
    inputs.push_back(i >= static_cast<size_t>(row.min_inputs) && choices.once_in(4) ? "" : choices.of(values));
  }
  std::string_view names = row.attributes;
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    if (!choices.once_in(2)) attributes[std::string(names.substr(0, end))] = attribute(choices, values);
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  for (int i = 0; i < std::min(row.max_outputs, 3); ++i) {
    const std::string name = "v" + std::to_string(number) + "_" + std::to_string(i);
    outputs.push_back(name);
  }
  return {{"op", row.name}, {"name", ""}, {"inputs", inputs}, {"outputs", outputs}, {"attrs", attributes}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto pool = std::make_shared<ThreadPool>(1);
  static const std::vector<const graph::OpRow*> rows = [] {
    std::vector<const graph::OpRow*> all;
    for (const auto group : graph::all_ops()) {
      for (const graph::OpRow& row : group) all.push_back(&row);
    }
    return all;
  }();
  Choices choices(data, size);
  testing::BundleWriter writer;
  std::vector<std::string> values;
  const size_t length = 1 + choices.below(3);
  Json ops = Json::array();
  std::vector<const graph::OpRow*> picked;
  for (size_t i = 0; i < length; ++i) picked.push_back(rows[choices.below(rows.size())]);
  for (int i = 0; i < 5; ++i) {
    values.push_back("t" + std::to_string(i));
    add_tensor(choices, writer, values.back());
  }
  for (size_t i = 0; i < length; ++i) {
    ops.push_back(node(choices, *picked[i], values, i));
    // Attributes may only name tensors of the bundle: values of nodes come behind them and are read by inputs alone.
    values.push_back(ops.back()["outputs"][0]);
  }
  // An output states its type: Size gives i64 whatever the last value is.
  ops.push_back(plain_node("Size", Json::array({values.back()}), "z"));
  writer.manifest["programs"]["main"] = {
      {"kind", "graph"},
      {"opset", choices.once_in(8) ? 13 : 28},
      {"dims", Json::object()},
      {"inputs", Json::array()},
      {"outputs", Json::array({{{"name", "z"}, {"dtype", "i64"}, {"shape", Json::array()}}})},
      {"states", Json::array()},
      {"ops", ops}};
  try {
    graph::Limits limits;
    limits.memory = kMaxMemory;
    limits.iterations = kMaxIterations;
    graph::GraphSession session(writer.open("fuzz.anyon"), "main", pool, best_isa(), limits);
    std::vector<TensorView> outputs(1);
    session.run({}, outputs);
  } catch (const Error&) {
  }
  return 0;
}
