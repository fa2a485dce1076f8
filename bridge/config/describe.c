/* What people read about the settings: the option names, --help and the README's table. */
#include "bridge/config/settings_priv.h"

static char option_char(char c)
{
    if (c == '_')
        return '-';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void wc_setting_option(const struct wc_setting *s, struct wc_buf *out)
{
    for (const char *p = s->name; *p; p++)
        wc_buf_byte(out, option_char(*p));
}

bool wc_setting_has_option(const struct wc_setting *s, struct wc_slice option)
{
    size_t i = 0;
    while (i < option.len && s->name[i] && option_char(s->name[i]) == (char)option.p[i])
        i++;
    return i == option.len && s->name[i] == '\0';
}

static void words(enum wc_setting_id id, struct wc_buf *out)
{
    const char *separator = "one of ";
    for (size_t i = 0; i < wc_setting_word_count; i++) {
        if (wc_setting_words[i].setting != id)
            continue;
        wc_buf_str(out, separator);
        wc_buf_str(out, wc_setting_words[i].text);
        separator = ", ";
    }
}

void wc_setting_allowed(const struct wc_setting *s, struct wc_buf *out)
{
    switch (s->type) {
    case WC_TYPE_TEXT: wc_buf_printf(out, "text of %u to %u bytes", s->min, s->max); break;
    case WC_TYPE_IDENT:
        wc_buf_printf(out, "%u to %u characters of a-z, 0-9 and _", s->min, s->max);
        break;
    case WC_TYPE_INT: wc_buf_printf(out, "%u to %u", s->min, s->max); break;
    case WC_TYPE_POW2: wc_buf_printf(out, "a power of two from %u to %u", s->min, s->max); break;
    case WC_TYPE_WORD: words(wc_setting_id(s), out); break;
    }
}

static void default_text(const struct wc_setting *s, struct wc_buf *out)
{
    if (wc_setting_is_required(s))
        wc_buf_str(out, "required");
    else if (s->def[0] == '\0')
        wc_buf_str(out, "empty");
    else
        wc_buf_printf(out, "%s%s%s", s->def, s->unit[0] ? " " : "", s->unit);
}

bool wc_config_wants_help(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

void wc_config_help(struct wc_buf *out)
{
    wc_buf_str(out, "Settings, each as an environment variable or as an option (which wins):\n");
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++) {
        wc_buf_printf(out, "\n  %s, --", s->name);
        wc_setting_option(s, out);
        wc_buf_str(out, " (");
        default_text(s, out);
        wc_buf_printf(out, ")\n      %s\n      ", s->help);
        wc_setting_allowed(s, out);
        if (s->reload)
            wc_buf_str(out, "; can be changed while running");
        wc_buf_byte(out, '\n');
    }
}

void wc_config_readme(struct wc_buf *out)
{
    wc_buf_str(out, "| Setting | Default | Allowed | Meaning |\n|---|---|---|---|\n");
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++) {
        wc_buf_printf(out, "| `%s` | ", s->name);
        default_text(s, out);
        wc_buf_str(out, " | ");
        wc_setting_allowed(s, out);
        wc_buf_printf(out, " | %s%s |\n", s->help,
                      s->reload ? " (can be changed while running)" : "");
    }
}
