/* Facts as bytes: what rules are made of. */
#include "bridge/rls/rules_priv.h"

void wc_rules_put(struct wc_buf *b, const struct wc_slice field[WC_RULES_FIELDS])
{
    for (size_t i = 0; i < WC_RULES_FIELDS; i++) {
        uint32_t len = (uint32_t)field[i].len;
        wc_buf_byte(b, field[i].p ? 'v' : 'n');
        if (!field[i].p)
            continue;
        wc_buf_append(b, &len, sizeof len);
        wc_buf_slice(b, field[i]);
        wc_buf_byte(b, '\0');
    }
}

struct wc_fact wc_rules_take(const uint8_t **at)
{
    struct wc_fact f = {.bytes = {.p = *at}};
    for (size_t i = 0; i < WC_RULES_FIELDS; i++) {
        uint32_t len;
        if (*(*at)++ == 'n')
            continue;
        memcpy(&len, *at, sizeof len);
        f.field[i] = wc_slice(*at + sizeof len, len);
        *at += sizeof len + len + 1;
    }
    f.bytes.len = (size_t)(*at - f.bytes.p);
    return f;
}
