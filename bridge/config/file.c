#include "bridge/config/file.h"

#include "bridge/config/settings_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_MAX = 64 << 10 };

static enum wc_status complain(struct wc_buf *problems, const char *what)
{
    wc_buf_printf(problems, "SETTINGS_FILE: %s\n", what);
    return WC_INVALID;
}

static enum wc_status read_text(const char *path, struct wc_config_file *f, struct wc_buf *problems)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* a pipe could block the start */
        return complain(problems, "is not a regular file");
    FILE *in = fopen(path, "rbe");
    if (!in)
        return complain(problems, strerror(errno));
    f->text = malloc(FILE_MAX + 1);
    f->len = f->text ? fread(f->text, 1, FILE_MAX + 1, in) : 0;
    bool failed = ferror(in) != 0;
    int e = errno;
    (void)fclose(in); /* it was only read */
    if (!f->text)
        return WC_NOMEM;
    if (failed)
        return complain(problems, strerror(e));
    if (f->len > FILE_MAX)
        return complain(problems, "longer than 64 KiB");
    if (memchr(f->text, '\0', f->len))
        return complain(problems, "holds a NUL byte");
    f->text[f->len] = '\0';
    return WC_OK;
}

static bool is_setting(struct wc_slice name)
{
    for (const struct wc_setting *s = wc_settings; s < wc_settings + WC_SETTING_COUNT; s++)
        if (wc_slice_is(name, s->name))
            return true;
    return false;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    for (size_t n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

/* Moves "NAME = value" together, in place; NULL: nothing to be read here. */
static char *take_line(char *line, unsigned number, struct wc_buf *problems, bool *bad)
{
    char *s = trim(line);
    if (!s[0] || s[0] == '#')
        return NULL;
    size_t name = strcspn(s, "= \t");
    char *equals = s + name + strspn(s + name, " \t");
    if (*equals != '=' || !is_setting(wc_slice(s, name)) ||
        wc_slice_is(wc_slice(s, name), "SETTINGS_FILE")) {
        /* Not quoted: it may be the rest of a secret. */
        wc_buf_printf(problems,
                      "SETTINGS_FILE: line %u is not NAME=value with the name of a setting\n",
                      number);
        *bad = true;
        return NULL;
    }
    const char *value = equals + 1 + strspn(equals + 1, " \t");
    s[name] = '=';
    memmove(s + name + 1, value, strlen(value) + 1);
    return s;
}

static enum wc_status split(struct wc_config_file *f, struct wc_buf *problems)
{
    size_t most = 2;
    for (size_t i = 0; i < f->len; i++)
        most += f->text[i] == '\n';
    f->line = calloc(most, sizeof *f->line);
    if (!f->line)
        return WC_NOMEM;
    bool bad = false;
    char *rest = f->text;
    size_t n = 0;
    for (unsigned number = 1; rest; number++) {
        char *s = take_line(strsep(&rest, "\n"), number, problems, &bad);
        if (s)
            f->line[n++] = s;
    }
    return bad ? WC_INVALID : WC_OK;
}

enum wc_status wc_config_file_read(const char *path, struct wc_config_file *out,
                                   struct wc_buf *problems)
{
    struct wc_config_file f = {0};
    enum wc_status st = read_text(path, &f, problems);
    if (st == WC_OK)
        st = split(&f, problems);
    if (st == WC_OK)
        *out = f;
    else
        wc_config_file_release(&f);
    return st;
}

void wc_config_file_release(struct wc_config_file *f)
{
    if (f->text)
        explicit_bzero(f->text, FILE_MAX + 1);
    free(f->text);
    free(f->line);
    *f = (struct wc_config_file){0};
}
