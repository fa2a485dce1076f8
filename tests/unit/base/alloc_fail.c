#include "tests/unit/base/alloc_fail.h"

#include <stddef.h>

/* Named by the linker's --wrap: calls of malloc reach __wrap_malloc, __real_malloc is the real one.
 */
void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

static long until_failure = -1;
static bool failed;

void wc_test_fail_alloc(long n)
{
    until_failure = n;
    failed = false;
}

bool wc_test_alloc_failed(void)
{
    return failed;
}

static bool fails_now(void)
{
    if (until_failure < 0)
        return false;
    failed = until_failure == 0;
    until_failure--;
    return failed;
}

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    return fails_now() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}
