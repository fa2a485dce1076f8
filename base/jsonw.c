#include "base/jsonw.h"

#include "base/uuid.h"

/* 0: as is; 'u': \u00XX; else the letter after the backslash. */
static const uint8_t escape[256] = {
    ['\0'] = 'u', [1] = 'u',    [2] = 'u',    [3] = 'u',     [4] = 'u',    [5] = 'u',
    [6] = 'u',    [7] = 'u',    ['\b'] = 'b', ['\t'] = 't',  ['\n'] = 'n', [11] = 'u',
    ['\f'] = 'f', ['\r'] = 'r', [14] = 'u',   [15] = 'u',    [16] = 'u',   [17] = 'u',
    [18] = 'u',   [19] = 'u',   [20] = 'u',   [21] = 'u',    [22] = 'u',   [23] = 'u',
    [24] = 'u',   [25] = 'u',   [26] = 'u',   [27] = 'u',    [28] = 'u',   [29] = 'u',
    [30] = 'u',   [31] = 'u',   ['"'] = '"',  ['\\'] = '\\',
};

void wc_jsonw_string(struct wc_buf *out, struct wc_slice s)
{
    static const char hex[] = "0123456789abcdef";
    wc_buf_byte(out, '"');
    size_t run = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t e = escape[s.p[i]];
        if (!e)
            continue;
        wc_buf_append(out, s.p + run, i - run);
        run = i + 1;
        if (e == 'u') {
            const char u[6] = {'\\', 'u', '0', '0', hex[s.p[i] >> 4], hex[s.p[i] & 15]};
            wc_buf_append(out, u, sizeof u);
        } else {
            const char two[2] = {'\\', (char)e};
            wc_buf_append(out, two, sizeof two);
        }
    }
    wc_buf_append(out, s.p ? s.p + run : NULL, s.len - run);
    wc_buf_byte(out, '"');
}

void wc_jsonw_uuid(struct wc_buf *out, const uint8_t uuid[16])
{
    char text[WC_UUID_TEXT];
    wc_uuid_format(uuid, text);
    wc_buf_byte(out, '"');
    wc_buf_str(out, text);
    wc_buf_byte(out, '"');
}
