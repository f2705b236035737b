// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace anyon {

class MappedFile {
 public:
  // Throws Error(kIoError) when the file cannot be opened or mapped, or is not a regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Page-aligned; empty for an empty file. Another process that truncates the file takes pages away from under the
  // reader, and the system ends a process that reads them (SIGBUS): writers must replace a bundle by renaming, never in
  // place.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Bytes that the file has now; -1 when the system does not say.
  int64_t size_now() const;

 private:
  int descriptor_ = -1;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace anyon
