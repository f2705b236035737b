// libstdc++'s handler of uncaught exceptions writes to stderr and brings a demangler (47 KB) for the purpose. The
// shared library lets none out and never prints.
#if defined(__GLIBCXX__) || defined(__GNUC__)
#include <cstdlib>

namespace __gnu_cxx {
[[noreturn]] void __verbose_terminate_handler() {
  std::abort();
}
}  // namespace __gnu_cxx
#endif
