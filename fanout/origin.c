#include "fanout/origin.h"

#include <strings.h>

static const char wildcard[] = "://*.";

static bool is_equal(struct wc_slice a, struct wc_slice b)
{
    return a.len == b.len && strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0;
}

/* "https://" and ".example.com" around one or more labels. */
static bool matches_below(struct wc_slice entry, size_t star, struct wc_slice origin)
{
    size_t tail = entry.len - star - 1;
    return origin.len > star + tail &&
           is_equal(wc_slice(entry.p, star), wc_slice(origin.p, star)) &&
           is_equal(wc_slice(entry.p + star + 1, tail),
                    wc_slice(origin.p + origin.len - tail, tail));
}

static bool matches(struct wc_slice entry, struct wc_slice origin)
{
    const uint8_t *at =
        entry.len ? memmem(entry.p, entry.len, wildcard, sizeof wildcard - 1) : NULL;
    if (!at)
        return entry.len && is_equal(entry, origin);
    return matches_below(entry, (size_t)(at - entry.p) + 3, origin); /* behind "://" */
}

bool wc_origin_is_allowed(const char *list, struct wc_slice origin)
{
    if (!list[0] || !origin.p)
        return true;
    for (const char *p = list; p;) {
        const char *comma = strchr(p, ',');
        p += strspn(p, " ");
        size_t len = comma ? (size_t)(comma - p) : strlen(p);
        while (len && p[len - 1] == ' ')
            len--;
        if (matches(wc_slice(p, len), origin))
            return true;
        p = comma ? comma + 1 : NULL;
    }
    return false;
}
