#include "bridge/config/file.h"
#include "bridge/config/settings_priv.h"

#include <stdlib.h>
#include <strings.h>

enum { SHOWN_MAX = 64 }; /* characters of a bad value that a message repeats */

/* Where the text of one setting comes from. */
struct given {
    const char *text;
    bool by_option;
};

struct loader {
    const struct wc_config_input *input;
    struct given given[WC_SETTING_COUNT];
    struct wc_config_file file;
    struct wc_config *config;
    struct wc_buf *problems;
    bool bad;
    enum wc_status status; /* NOMEM */
};

static void *field(const struct wc_setting *s, struct wc_config *c)
{
    return (char *)c + s->offset;
}

static const void *const_field(const struct wc_setting *s, const struct wc_config *c)
{
    return (const char *)c + s->offset;
}

static const char *text_of(const struct wc_setting *s, const struct wc_config *c)
{
    const char *text;
    memcpy(&text, const_field(s, c), sizeof text);
    return text;
}

void wc_config_free(struct wc_config *c)
{
    if (!c)
        return;
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++) {
        char *text;
        if (!wc_setting_is_text(s))
            continue;
        memcpy(&text, field(s, c), sizeof text);
        if (text && s->secret)
            explicit_bzero(text, strlen(text));
        free(text);
    }
    free(c);
}

static void show(struct wc_buf *out, const char *value)
{
    wc_buf_byte(out, '"');
    size_t i = 0;
    for (; value[i] && i < SHOWN_MAX; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c < 0x20 || c == 0x7f)
            wc_buf_printf(out, "\\x%02x", c);
        else
            wc_buf_byte(out, value[i]);
    }
    wc_buf_str(out, value[i] ? "...\"" : "\"");
}

static void name_of(struct loader *l, const struct wc_setting *s)
{
    if (l->given[wc_setting_id(s)].by_option) {
        wc_buf_str(l->problems, "--");
        wc_setting_option(s, l->problems);
    } else {
        wc_buf_str(l->problems, s->name);
    }
}

static void reject(struct loader *l, const struct wc_setting *s, const char *value)
{
    l->bad = true;
    name_of(l, s);
    if (value[0] == '\0') {
        wc_buf_str(l->problems, ": must be set");
    } else if (s->secret) {
        wc_buf_str(l->problems, ": its value (not shown) is not allowed");
    } else {
        wc_buf_str(l->problems, ": ");
        show(l->problems, value);
        wc_buf_str(l->problems, " is not allowed");
    }
    wc_buf_str(l->problems, "; allowed: ");
    wc_setting_allowed(s, l->problems);
    wc_buf_byte(l->problems, '\n');
}

/* Arguments. */

static struct given *find_option(struct loader *l, struct wc_slice option)
{
    for (size_t i = 0; i < WC_SETTING_COUNT; i++)
        if (wc_setting_has_option(&wc_settings[i], option))
            return &l->given[i];
    return NULL;
}

static void reject_argument(struct loader *l, const char *arg, size_t len, const char *why)
{
    char name[SHOWN_MAX + 2] = "";
    l->bad = true;
    if (len > sizeof name - 1)
        len = sizeof name - 1;
    memcpy(name, arg, len);
    show(l->problems, name);
    wc_buf_printf(l->problems, ": %s\n", why);
}

/* Reads the option at `i`; returns the index of the next one. */
static int read_option(struct loader *l, int i)
{
    const char *arg = l->input->argv[i];
    if (strncmp(arg, "--", 2) != 0) {
        reject_argument(l, arg, strlen(arg), "not an option; options begin with --");
        return i + 1;
    }
    const char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
    struct given *given = find_option(l, wc_slice(arg + 2, len - 2));
    const char *value = equals ? equals + 1 : NULL;
    bool takes_next = !value && i + 1 < l->input->argc;
    if (!given) {
        reject_argument(l, arg, len, "no such option; --help lists them");
        return i + 1 + (takes_next && l->input->argv[i + 1][0] != '-');
    }
    if (takes_next && strncmp(l->input->argv[i + 1], "--", 2) != 0)
        value = l->input->argv[++i];
    if (value)
        *given = (struct given){value, true};
    else
        reject_argument(l, arg, len, "needs a value; write --name=value if it begins with --");
    return i + 1;
}

/* Environment. */

static const char *environment_value(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return (*env)[len + 1] ? *env + len + 1 : NULL;
    return NULL;
}

static void collect(struct loader *l)
{
    for (size_t i = 0; i < WC_SETTING_COUNT; i++)
        l->given[i].text = environment_value(l->input->env, wc_settings[i].name);
    for (int i = 1; i < l->input->argc;)
        i = read_option(l, i);
}

/* What neither the environment nor an option gives. */
static void collect_from_file(struct loader *l)
{
    const char *path = l->given[WC_SETTING_settings_file].text;
    if (!path || !path[0])
        return;
    enum wc_status st = wc_config_file_read(path, &l->file, l->problems);
    if (st == WC_NOMEM)
        l->status = st;
    l->bad |= st == WC_INVALID;
    for (size_t i = 0; i < WC_SETTING_COUNT && st == WC_OK; i++)
        if (!l->given[i].text)
            l->given[i].text = environment_value(l->file.line, wc_settings[i].name);
}

/* Values. */

static bool is_ident(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void set_text(struct loader *l, const struct wc_setting *s, const char *text)
{
    size_t len = strlen(text);
    bool tolerated = len == 0 && l->input->use == WC_CONFIG_TOOL && wc_setting_is_required(s);
    if (((len < s->min || len > s->max) && !tolerated) ||
        (s->type == WC_TYPE_IDENT && !is_ident(text))) {
        reject(l, s, text);
        return;
    }
    char *copy = wc_slice_dup(wc_slice(text, len));
    if (!copy)
        l->status = WC_NOMEM;
    memcpy(field(s, l->config), &copy, sizeof copy);
}

static bool parse_number(const char *text, uint32_t *out)
{
    uint64_t v = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)v;
    return text[0] != '\0';
}

static void set_number(struct loader *l, const struct wc_setting *s, const char *text)
{
    uint32_t v;
    if (!parse_number(text, &v) || v < s->min || v > s->max ||
        (s->type == WC_TYPE_POW2 && (v & (v - 1)) != 0))
        reject(l, s, text);
    else
        memcpy(field(s, l->config), &v, sizeof v);
}

static void set_word(struct loader *l, const struct wc_setting *s, const char *text)
{
    for (size_t i = 0; i < wc_setting_word_count; i++) {
        if (wc_setting_words[i].setting == wc_setting_id(s) &&
            strcasecmp(wc_setting_words[i].text, text) == 0) {
            enum wc_config_word word = (enum wc_config_word)i;
            memcpy(field(s, l->config), &word, sizeof word);
            return;
        }
    }
    reject(l, s, text);
}

static void set(struct loader *l, const struct wc_setting *s)
{
    const char *text = l->given[wc_setting_id(s)].text;
    if (!text)
        text = s->def;
    switch (s->type) {
    case WC_TYPE_TEXT:
    case WC_TYPE_IDENT: set_text(l, s, text); break;
    case WC_TYPE_INT:
    case WC_TYPE_POW2: set_number(l, s, text); break;
    case WC_TYPE_WORD: set_word(l, s, text); break;
    }
}

/* What no single setting says. */
static void check_mode(struct loader *l)
{
    const struct wc_config *c = l->config;
    if (l->input->use != WC_CONFIG_SERVE || l->status != WC_OK || !c->jwt_secret ||
        !c->db_enc_key || !c->db_enc_key_gcm)
        return; /* one of them was wrong */
    if (c->jwt_secret[0] || c->db_enc_key[0] || c->db_enc_key_gcm[0])
        return;
    l->bad = true;
    wc_buf_str(l->problems, "JWT_SECRET: must be set to serve the one database of DB_*; or set "
                            "DB_ENC_KEY_GCM (32 bytes) to serve the tenants that are kept there\n");
}

enum wc_status wc_config_load(const struct wc_config_input *input, struct wc_buf *problems,
                              struct wc_config **out)
{
    struct loader l = {.input = input, .problems = problems, .status = WC_OK};
    l.config = calloc(1, sizeof *l.config);
    if (!l.config)
        return WC_NOMEM;
    collect(&l);
    collect_from_file(&l);
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++)
        set(&l, s);
    check_mode(&l);
    wc_config_file_release(&l.file);
    if (l.status == WC_OK && l.bad)
        l.status = WC_INVALID;
    if (l.status == WC_OK)
        *out = l.config;
    else
        wc_config_free(l.config);
    return l.status;
}

/* Reload. */

static size_t field_size(const struct wc_setting *s)
{
    if (wc_setting_is_text(s))
        return sizeof(char *);
    return s->type == WC_TYPE_WORD ? sizeof(enum wc_config_word) : sizeof(uint32_t);
}

static bool same_value(const struct wc_setting *s, const struct wc_config *a,
                       const struct wc_config *b)
{
    if (wc_setting_is_text(s))
        return strcmp(text_of(s, a), text_of(s, b)) == 0;
    return memcmp(const_field(s, a), const_field(s, b), field_size(s)) == 0;
}

/* Gives `to` the value of `from`. */
static enum wc_status keep(const struct wc_setting *s, const struct wc_config *from,
                           struct wc_config *to)
{
    if (!wc_setting_is_text(s)) {
        memcpy(field(s, to), const_field(s, from), field_size(s));
        return WC_OK;
    }
    char *copy = wc_slice_dup(wc_slice_str(text_of(s, from)));
    if (!copy)
        return WC_NOMEM;
    char *old;
    memcpy(&old, field(s, to), sizeof old);
    if (s->secret)
        explicit_bzero(old, strlen(old));
    free(old);
    memcpy(field(s, to), &copy, sizeof copy);
    return WC_OK;
}

enum wc_status wc_config_reload(const struct wc_config *now, const struct wc_config_input *input,
                                struct wc_buf *notes, struct wc_config **out)
{
    struct wc_config *next;
    enum wc_status status = wc_config_load(input, notes, &next);
    if (status != WC_OK)
        return status;
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++) {
        if (s->reload || same_value(s, now, next))
            continue;
        wc_buf_printf(notes, "%s: the new value takes effect at the next start\n", s->name);
        status = keep(s, now, next);
        if (status != WC_OK) {
            wc_config_free(next);
            return status;
        }
    }
    *out = next;
    return WC_OK;
}
