#include "bridge/push/target.h"

#include <strings.h>

static bool is_unreserved(uint8_t c) /* RFC 3986, section 2.3 */
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static void encode(struct wc_buf *out, struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_unreserved(s.p[i]))
            wc_buf_byte(out, (char)s.p[i]);
        else
            wc_buf_printf(out, "%%%02X", s.p[i]);
}

/* Prometheus' form of names. */
static bool is_name(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!(is_digit && i) && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return s.len > 0;
}

static bool add_label(struct wc_buf *out, struct wc_slice entry, bool is_first)
{
    const uint8_t *eq = memchr(entry.p, '=', entry.len);
    struct wc_slice name = wc_slice(entry.p, eq ? (size_t)(eq - entry.p) : entry.len);
    if (!eq || !is_name(name))
        return false;
    wc_buf_str(out, is_first ? "?extra_label=" : "&extra_label=");
    wc_buf_slice(out, name);
    wc_buf_byte(out, '=');
    encode(out, wc_slice(eq + 1, entry.len - name.len - 1));
    return true;
}

static bool has_prefix(const char *s, const char *prefix)
{
    return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

enum wc_status wc_push_target(const char *url, const char *extra_labels, struct wc_buf *out,
                              struct wc_err *err)
{
    if (!has_prefix(url, "http://") && !has_prefix(url, "https://"))
        return wc_err_set(err, WC_INVALID, "METRICS_PUSHER_URL: not a URL of http or https");
    bool is_first = !strchr(url, '?');
    wc_buf_str(out, url);
    for (const char *at = extra_labels; *at; is_first = false) {
        size_t len = strcspn(at, ",");
        if (!add_label(out, wc_slice(at, len), is_first))
            return wc_err_set(err, WC_INVALID,
                              "METRICS_PUSHER_EXTRA_LABELS: not a list such as env=prod,team=a");
        at += len + (at[len] == ',');
    }
    return out->status;
}
