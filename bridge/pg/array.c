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

void wc_pg_array_add_null(struct wc_buf *array)
{
    wc_buf_str(array, array->len ? ",NULL" : "{NULL");
}

void wc_pg_array_end(struct wc_buf *array)
{
    wc_buf_str(array, array->len ? "}" : "{}");
    wc_buf_byte(array, '\0');
}

bool wc_pg_next_name(const char **list, struct wc_slice *name)
{
    const char *p = *list + strspn(*list, " ,");
    size_t len = strcspn(p, ",");
    *list = p + len;
    while (len && p[len - 1] == ' ')
        len--;
    *name = wc_slice(p, len);
    return len > 0;
}

void wc_pg_array_of_names(struct wc_buf *array, const char *list)
{
    for (struct wc_slice name; wc_pg_next_name(&list, &name);)
        wc_pg_array_add(array, name);
    wc_pg_array_end(array);
}
