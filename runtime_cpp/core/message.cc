// Messages from parts.
#include "core/message.h"

#include "core/status.h"

namespace anyon {

void Part::append_to(std::string& message) const {
  switch (kind_) {
    case Kind::kText:
      number_ < 0 ? message.append(text_) : message.append(text_, static_cast<size_t>(number_));
      break;
    case Kind::kParts:
      for (int64_t i = 0; i < number_; ++i) parts_[i].append_to(message);
      break;
    case Kind::kChar:
      message.push_back(static_cast<char>(number_));
      break;
    case Kind::kSigned:
      message.append(std::to_string(number_));
      break;
    case Kind::kUnsigned:
      message.append(std::to_string(static_cast<uint64_t>(number_)));
      break;
  }
}

std::string text_of(Parts parts) {
  std::string message;
  for (const Part& part : parts) part.append_to(message);
  return message;
}

void throw_error(Status status, Parts message) {
  throw Error(status, text_of(message));
}

}  // namespace anyon
