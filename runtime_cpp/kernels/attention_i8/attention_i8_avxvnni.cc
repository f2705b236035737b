// attention_i8 for avxvnni.
#define ANYON_SIMD_AVXVNNI
#include "kernels/attention_i8/attention_i8_kernel.h"
