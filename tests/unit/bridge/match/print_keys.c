/*
 * For the comparison with a real Postgres (tests/integration/keys-differential.test.mjs): reads
 * lines of
 *
 *   type oid, is enum, collation is deterministic, collation is C (0 or 1 each), text in hex
 *
 * apart by blanks, the text perhaps empty; answers each with "KIND ORDERED KEY": both numbers, the
 * key in hex, or "!" when the text has none.
 */
#include "bridge/match/key.h"

#include <stdio.h>
#include <stdlib.h>

static int nibble(char ch)
{
    static const char all[] = "0123456789abcdef";
    const char *at = ch ? strchr(all, ch) : NULL;
    return at ? (int)(at - all) : -1;
}

static bool read_hex(const char *hex, struct wc_buf *out)
{
    for (; *hex && *hex != '\n'; hex += 2) {
        int high = nibble(hex[0]), low = high < 0 ? -1 : nibble(hex[1]);
        if (low < 0)
            return false;
        wc_buf_byte(out, (char)(high << 4 | low));
    }
    return out->status == WC_OK;
}

static bool answer(const char *line)
{
    unsigned oid, is_enum, is_deterministic, is_c;
    int at = 0;
    bool ordered;
    struct wc_buf text, key;
    wc_buf_init(&text, 1 << 20);
    wc_buf_init(&key, 1 << 20);
    bool ok = sscanf(line, "%u %u %u %u %n", &oid, &is_enum, &is_deterministic, &is_c, &at) == 4 &&
              at > 0 && read_hex(line + at, &text);
    if (ok) {
        const struct wc_key_type type = {oid, is_enum, is_deterministic, is_c};
        enum wc_key_kind kind = wc_key_kind_of(&type, &ordered);
        (void)printf("%d %d ", (int)kind, (int)ordered); /* the reader counts lines */
        if (wc_key_append(kind, wc_buf_view(&text), &key) != WC_OK)
            (void)printf("!");
        for (size_t i = 0; i < key.len; i++)
            (void)printf("%02x", key.p[i]);
        (void)printf("\n");
    }
    wc_buf_release(&text);
    wc_buf_release(&key);
    return ok;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    bool ok = true;
    while (ok && getline(&line, &size, stdin) > 0)
        ok = answer(line);
    free(line);
    return ok ? 0 : 1;
}
