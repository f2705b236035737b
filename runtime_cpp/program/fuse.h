// Ops that are run as one because what lies between them then stays in cache. Results keep every bit.
#pragma once

#include "program/program.h"

namespace anyon {

// linear_i8 ops that read one value become one op, which writes heads where split_heads alone reads them; layer_norm
// goes into the op that alone reads it, and linear_i8 into the linear_i8 that alone reads it.
void fuse_ops(Program& program);

}  // namespace anyon
