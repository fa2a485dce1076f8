#include "bridge/config/settings_priv.h"

#include <stddef.h>

const struct wc_setting wc_settings[WC_SETTING_COUNT] = {
#define RELOAD true
#define FIXED  false
#define SECRET true
#define PLAIN  false
#define WC_SETTING(symbol, name, type, min, max, def, unit, reload, secret, help)                  \
    {name, WC_TYPE_##type, min,    max,  def,                                                      \
     unit, reload,         secret, help, offsetof(struct wc_config, symbol)},
#define WC_WORD(setting, symbol, text)
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
#undef PLAIN
#undef SECRET
#undef FIXED
#undef RELOAD
};

const struct wc_setting_word wc_setting_words[] = {
#define WC_SETTING(...)
#define WC_WORD(setting, symbol, text) {WC_SETTING_##setting, text},
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
};

const size_t wc_setting_word_count = sizeof wc_setting_words / sizeof *wc_setting_words;

const char *wc_config_word_text(enum wc_config_word word)
{
    return wc_setting_words[word].text;
}
