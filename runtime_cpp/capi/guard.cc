// Exceptions to statuses.
#include "capi/guard.h"

#include <exception>
#include <new>

namespace anyon::capi {

anyon_status guarded(LastError& error, FunctionRef<void()> body) noexcept {
  error.clear();
  try {
    body();
    return ANYON_OK;
  } catch (const Error& failure) {
    error.set(failure.what());
    return static_cast<anyon_status>(failure.status());
  } catch (const std::bad_alloc&) {
    error.set("out of memory: free some, or use a smaller model or batch");
    return ANYON_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& failure) {
    error.set(failure.what());
    return ANYON_ERROR_INTERNAL;
  } catch (...) {
    error.set("an unknown exception (did a callback throw?)");
    return ANYON_ERROR_INTERNAL;
  }
}

}  // namespace anyon::capi
