#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wc_assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "walcast: assertion failed: %s (%s:%d)\n", expr, file, line);
    abort();
}
