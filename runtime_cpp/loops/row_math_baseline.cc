// row_math.h compiled for what every machine of this architecture has (SSE2, NEON, WebAssembly's).
#include "loops/row_math.h"

#include <algorithm>
#include <cstring>

#define ANYON_ROW_MATH_NAMESPACE row_math_baseline
#include "loops/row_math.inl"
