// row_math.h compiled for AVX2.
#include "loops/row_math.h"

#include <algorithm>
#include <cstring>

#define ANYON_ROW_MATH_NAMESPACE row_math_avx2
#include "loops/row_math.inl"
