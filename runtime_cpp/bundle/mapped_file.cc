// mmap behind RAII.
#include "bundle/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/status.h"

namespace anyon {
namespace {

[[noreturn]] void fail(const std::string& path, Parts problem) {
  throw_error(Status::kIoError, {path, ": ", problem});
}

// Closes the descriptor on every way out by which it is not released.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  if (path.find('\0') != std::string::npos) fail(path.c_str(), {"a path cannot contain a zero byte"});
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) {
    if (errno == ENOENT) fail(path, {"no such file"});
    fail(path, {"cannot be opened: ", std::strerror(errno)});
  }
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail(path, {"cannot be examined: ", std::strerror(errno)});
  if (S_ISDIR(info.st_mode)) fail(path, {"is a directory; give the .anyon file in it"});
  if (!S_ISREG(info.st_mode)) fail(path, {"is not a regular file, so it cannot be mapped"});
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapped == MAP_FAILED) fail(path, {"cannot be mapped: ", std::strerror(errno)});
  data_ = static_cast<const std::byte*>(mapped);
  // Starts the disk before the first kernel waits for it; a hint only, so its result does not matter.
  ::madvise(mapped, size_, MADV_WILLNEED);
  descriptor_ = file.release();
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

int64_t MappedFile::size_now() const {
  struct stat info {};
  return descriptor_ >= 0 && ::fstat(descriptor_, &info) == 0 ? static_cast<int64_t>(info.st_size) : -1;
}

}  // namespace anyon
