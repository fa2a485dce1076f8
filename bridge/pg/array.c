#include "bridge/pg/array.h"

void wc_pg_array_add(struct wc_buf *array, struct wc_slice s)
{
    wc_buf_str(array, array->len ? ",\"" : "{\"");
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            wc_buf_byte(array, '\\');
        wc_buf_byte(array, (char)s.p[i]);
    }
    wc_buf_byte(array, '"');
}

void wc_pg_array_end(struct wc_buf *array)
{
    wc_buf_str(array, array->len ? "}" : "{}");
    wc_buf_byte(array, '\0');
}
