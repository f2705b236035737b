/* The C API, as Swift imports it. */
#include <anyon/anyon.h>
