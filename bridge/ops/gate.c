#include "bridge/ops/gate.h"

#include "auth/jwt.h"

#include <stdlib.h>
#include <strings.h>

struct wc_gate {
    struct wc_keyset *keys[2];
    char *blocklist; /* tokens are as good as secrets: wiped */
};

static enum wc_status make_keys(const char *secret, const char *validators, struct wc_keyset **out,
                                struct wc_err *err)
{
    const struct wc_keyset_source from = {.secret = wc_slice_str(secret),
                                          .validators = wc_slice_str(validators)};
    return secret[0] ? wc_keyset_make(&from, out, err) : WC_OK;
}

enum wc_status wc_gate_make(const struct wc_gate_options *o, struct wc_gate **out,
                            struct wc_err *err)
{
    struct wc_gate *g = calloc(1, sizeof *g);
    if (!g)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    g->blocklist = wc_slice_dup(wc_slice_str(o->blocklist));
    enum wc_status st = g->blocklist ? WC_OK : wc_err_set(err, WC_NOMEM, "out of memory");
    if (st == WC_OK)
        st = make_keys(o->secret, o->validators, &g->keys[0], err);
    if (st == WC_OK)
        st = make_keys(o->next_secret, o->validators, &g->keys[1], err);
    if (st == WC_OK)
        *out = g;
    else
        wc_gate_free(g);
    return st;
}

void wc_gate_free(struct wc_gate *g)
{
    if (!g)
        return;
    wc_keyset_free(g->keys[0]);
    wc_keyset_free(g->keys[1]);
    if (g->blocklist)
        explicit_bzero(g->blocklist, strlen(g->blocklist));
    free(g->blocklist);
    free(g);
}

/* Three base64url parts consist of these; anything else could spell a withdrawn token anew, since
 * tokens are cleaned of spaces and percent signs before they are verified. */
static bool is_plain(struct wc_slice token)
{
    for (size_t i = 0; i < token.len; i++) {
        uint8_t c = token.p[i], lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
            c != '.')
            return false;
    }
    return token.len > 0;
}

static bool is_blocked(const struct wc_gate *g, struct wc_slice token)
{
    for (const char *p = g->blocklist; *p;) {
        p += strspn(p, " ,");
        size_t len = strcspn(p, " ,");
        if (wc_slice_eq(wc_slice(p, len), token))
            return true;
        p += len;
    }
    return false;
}

bool wc_gate_admits(const struct wc_gate *g, struct wc_slice authorization, int64_t now)
{
    static const char scheme[] = "Bearer ";
    size_t n = sizeof scheme - 1;
    if (authorization.len <= n || memcmp(authorization.p, scheme, n) != 0)
        return false;
    struct wc_slice token = wc_slice(authorization.p + n, authorization.len - n);
    if (!is_plain(token) || is_blocked(g, token))
        return false;
    for (size_t i = 0; i < 2; i++)
        if (g->keys[i] && wc_jwt_check(g->keys[i], token, now) == WC_JWT_OK)
            return true;
    return false;
}
