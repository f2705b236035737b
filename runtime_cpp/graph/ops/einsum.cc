// Einstein sums: every label is a loop, and operands step through memory by their strides for it.
#include <array>
#include <cstring>
#include <map>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// "ab,bc->ac" taken apart. Axes of an ellipsis get labels of their own, the last one '\1', counted from the right.
struct Equation {
  std::vector<std::string> terms;
  std::string result;
};

Equation parse(Run& run, const std::string& text) {
  std::string clean;
  for (const char c : text) {
    if (c != ' ') clean += c;
  }
  const size_t arrow = clean.find("->");
  const std::string left = clean.substr(0, arrow);
  Equation equation;
  size_t begin = 0;
  for (size_t i = 0; i <= left.size(); ++i) {
    if (i == left.size() || left[i] == ',') {
      equation.terms.push_back(left.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (equation.terms.size() != static_cast<size_t>(run.inputs())) run.fail({"'equation' has another number of terms"});
  std::map<char, int> seen;
  int widest = 0;
  for (size_t i = 0; i < equation.terms.size(); ++i) {
    std::string& term = equation.terms[i];
    const size_t dots = term.find("...");
    if (dots != std::string::npos) {
      const int hidden = run.input(static_cast<int>(i)).shape.rank() - static_cast<int>(term.size() - 3);
      if (hidden < 0) run.fail({"'equation' has more labels than an input has axes"});
      std::string labels;
      for (int axis = hidden; axis > 0; --axis) labels += static_cast<char>(axis);
      term.replace(dots, 3, labels);
      widest = std::max(widest, hidden);
    }
    if (term.size() != static_cast<size_t>(run.input(static_cast<int>(i)).shape.rank())) {
      run.fail({"'equation' has another number of labels than an input has axes"});
    }
    for (const char c : term) {
      if (c > 8 && !std::isalpha(static_cast<unsigned char>(c))) run.fail({"'equation' has a label that is no letter"});
      ++seen[c];
    }
  }
  std::string hidden;
  for (int axis = widest; axis > 0; --axis) hidden += static_cast<char>(axis);
  if (arrow == std::string::npos) {  // implicit: hidden axes, then every label met once, in order
    equation.result = hidden;
    for (const auto& [label, count] : seen) {
      if (label > 8 && count == 1) equation.result += label;
    }
  } else {
    equation.result = clean.substr(arrow + 2);
    if (const size_t dots = equation.result.find("..."); dots != std::string::npos) {
      equation.result.replace(dots, 3, hidden);
    }
  }
  return equation;
}

void einsum(Run& run) {
  constexpr size_t kMaxOperands = 8, kMaxLabels = 16;
  const DType dtype = run.input(0).dtype;
  const Equation equation = parse(run, run.attributes().text("equation", ""));
  std::string labels = equation.result;
  std::map<char, int64_t> sizes;
  for (size_t i = 0; i < equation.terms.size(); ++i) {
    if (run.input(static_cast<int>(i)).dtype != dtype) run.fail({"its inputs are of different types"});
    for (size_t axis = 0; axis < equation.terms[i].size(); ++axis) {
      const char label = equation.terms[i][axis];
      const int64_t size = run.input(static_cast<int>(i)).shape[static_cast<int>(axis)];
      const auto [known, fresh] = sizes.emplace(label, size);
      if (!fresh && known->second == 1) known->second = size;
      if (!fresh && size != 1 && known->second != size) run.fail({"axes with the same label differ in size"});
      if (labels.find(label) == std::string::npos) labels += label;
    }
  }
  if (equation.terms.size() > kMaxOperands || labels.size() > kMaxLabels) run.unsupported({"an equation so long"});
  std::vector<int64_t> dims;
  for (size_t i = 0; i < equation.result.size(); ++i) {
    const char label = equation.result[i];
    if (!sizes.contains(label) || equation.result.find(label) != i) run.fail({"'equation' has a wrong result"});
    dims.push_back(sizes[label]);
  }
  std::vector<Tensor> inputs;
  std::vector<std::array<int64_t, kMaxLabels>> steps;
  for (size_t i = 0; i < equation.terms.size(); ++i) {
    inputs.push_back(run.wide_input(static_cast<int>(i)));
    const Strides strides = strides_of(inputs.back().shape);
    std::array<int64_t, kMaxLabels>& step = steps.emplace_back();
    for (size_t axis = 0; axis < equation.terms[i].size(); ++axis) {
      if (inputs.back().shape[static_cast<int>(axis)] != 1) step[labels.find(equation.terms[i][axis])] += strides[axis];
    }
  }
  const size_t free = equation.result.size();
  int64_t summed = 1;
  for (size_t i = free; i < labels.size(); ++i) summed *= sizes[labels[i]];
  const Tensor y = run.scratch(inputs[0].dtype, Shape(std::span<const int64_t>(dims)));
  with_wide(inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, T>;
    parallel_for(run.pool(), y.elements(), std::max<int64_t>(1, kMapGrain / std::max<int64_t>(1, summed)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t at = begin; at < end; ++at) {
                     std::array<int64_t, kMaxOperands> offsets{};
                     int64_t rest = at;
                     for (size_t label = free; label-- > 0;) {
                       const int64_t size = sizes.at(labels[label]), place = rest % size;
                       rest /= size;
                       for (size_t i = 0; i < inputs.size(); ++i) offsets[i] += place * steps[i][label];
                     }
                     Sum sum = 0;
                     std::array<int64_t, kMaxLabels> digit{};
                     for (int64_t turn = 0; turn < summed; ++turn) {
                       Sum product = 1;
                       for (size_t i = 0; i < inputs.size(); ++i) {
                         product = times(product, static_cast<Sum>(inputs[i].as<const T>()[offsets[i]]));
                       }
                       sum = plus(sum, product);
                       for (size_t label = labels.size(); label-- > free;) {
                         const int64_t size = sizes.at(labels[label]);
                         const bool wraps = ++digit[label] == size;
                         for (size_t i = 0; i < inputs.size(); ++i) {
                           offsets[i] += wraps ? steps[i][label] * (1 - size) : steps[i][label];
                         }
                         if (!wraps) break;
                         digit[label] = 0;
                       }
                     }
                     y.as<T>()[at] = static_cast<T>(sum);
                   }
                 });
  });
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"Einsum", 12, 1, kAnyNumber, 1, einsum, "equation"},
};

}  // namespace

extern const std::span<const OpRow> einsum_ops;
constinit const std::span<const OpRow> einsum_ops = kRows;

}  // namespace anyon::graph
