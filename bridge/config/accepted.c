/* Settings that are known, and have no effect: accepted.def as data. */
#include "bridge/config/config.h"

static const struct {
    const char *name, *why;
} accepted[] = {
#define WC_ACCEPTED(name, why) {name, why},
#include "bridge/config/accepted.def"
#undef WC_ACCEPTED
};
enum { ACCEPTED = sizeof accepted / sizeof *accepted };

static bool is_named(const char *pattern, struct wc_slice name)
{
    size_t len = strcspn(pattern, "*");
    return name.len >= len && memcmp(name.p, pattern, len) == 0 &&
           (pattern[len] == '*' || name.len == len);
}

static bool is_accepted(struct wc_slice name)
{
    for (size_t i = 0; i < ACCEPTED; i++)
        if (is_named(accepted[i].name, name))
            return true;
    return false;
}

void wc_config_accepted(char *const *env, struct wc_buf *out)
{
    for (; env && *env; env++) {
        struct wc_slice name = wc_slice(*env, strcspn(*env, "="));
        if ((*env)[name.len] != '=' || (*env)[name.len + 1] == '\0' || !is_accepted(name))
            continue;
        wc_buf_str(out, out->len ? "," : "");
        wc_buf_slice(out, name);
    }
}

void wc_config_readme_accepted(struct wc_buf *out)
{
    wc_buf_str(out, "| Setting | Why it does nothing here |\n|---|---|\n");
    for (size_t i = 0; i < ACCEPTED; i++)
        wc_buf_printf(out, "| `%s` | %s |\n", accepted[i].name, accepted[i].why);
}
