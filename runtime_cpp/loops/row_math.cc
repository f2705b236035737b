// Chooses the build of row_math.h that fits the ISA.
#include "loops/row_math.h"

namespace anyon {

namespace row_math_baseline {
extern const RowMath kRowMath;
}
namespace row_math_avx2 {
extern const RowMath kRowMath;
}
namespace row_math_avx512 {
extern const RowMath kRowMath;
}

const RowMath& row_math(Isa isa) {
#if defined(__x86_64__)
#if !defined(ANYON_WITHOUT_AVX512)
  if (float_isa(isa) == Isa::kAvx512) return row_math_avx512::kRowMath;
#endif
  if (float_isa(isa) == Isa::kAvx2) return row_math_avx2::kRowMath;
#endif
  return row_math_baseline::kRowMath;
}

}  // namespace anyon
