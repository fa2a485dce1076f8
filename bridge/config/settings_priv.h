/*
 * The table of settings.def as data, for the files of this folder.
 * Threads: pure; everything is constant.
 */
#ifndef WC_BRIDGE_CONFIG_SETTINGS_PRIV_H
#define WC_BRIDGE_CONFIG_SETTINGS_PRIV_H

#include "bridge/config/config.h"

enum wc_setting_type { WC_TYPE_TEXT, WC_TYPE_IDENT, WC_TYPE_INT, WC_TYPE_POW2, WC_TYPE_WORD };

enum wc_setting_id {
#define WC_SETTING(symbol, ...) WC_SETTING_##symbol,
#define WC_WORD(setting, symbol, text)
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
    WC_SETTING_COUNT
};

struct wc_setting {
    const char *name;
    enum wc_setting_type type;
    uint32_t min, max;
    const char *def, *unit;
    bool reload, secret;
    const char *help;
    size_t offset; /* of the field in struct wc_config */
};

extern const struct wc_setting wc_settings[WC_SETTING_COUNT];

struct wc_setting_word {
    enum wc_setting_id setting;
    const char *text;
};

/* Indexed by enum wc_config_word. */
extern const struct wc_setting_word wc_setting_words[];
extern const size_t wc_setting_word_count;

static inline enum wc_setting_id wc_setting_id(const struct wc_setting *s)
{
    return (enum wc_setting_id)(s - wc_settings);
}

static inline bool wc_setting_is_text(const struct wc_setting *s)
{
    return s->type == WC_TYPE_TEXT || s->type == WC_TYPE_IDENT;
}

/* Must be set to serve. */
static inline bool wc_setting_is_required(const struct wc_setting *s)
{
    return wc_setting_is_text(s) && s->min > 0 && s->def[0] == '\0';
}

/* The option without its dashes: "slot-name" for SLOT_NAME. */
void wc_setting_option(const struct wc_setting *, struct wc_buf *out);
bool wc_setting_has_option(const struct wc_setting *, struct wc_slice option);

/* What a value may be: "1 to 65535", "one of any, strict". */
void wc_setting_allowed(const struct wc_setting *, struct wc_buf *out);

#endif
