#include "bridge/tenant/options_priv.h"

#include <stdlib.h>

enum { STRINGS = 13 };

static void strings_of(struct wc_tenant_options *o, const char **out[STRINGS])
{
    const char **const all[STRINGS] = {
        &o->external_id,         &o->slot_name,         &o->publications,      &o->pg.host,
        &o->pg.dbname,           &o->pg.user,           &o->pg.password,       &o->pg.sslmode,
        &o->judge.pg.user,       &o->judge.pg.password, &o->judge.search_path, &o->pg.sslrootcert,
        &o->messages_publication};
    memcpy(out, all, sizeof all);
}

bool wc_tenant_options_copy(struct wc_tenant_options *to, const struct wc_tenant_options *from)
{
    const char **field[STRINGS];
    bool copied = true;
    *to = *from;
    to->keys = NULL;
    strings_of(to, field);
    for (size_t i = 0; i < STRINGS; i++) {
        const char *s = *field[i];
        *field[i] = s ? strdup(s) : NULL;
        copied &= !s || *field[i];
    }
    return copied;
}

static void wipe(const char *s)
{
    if (s)
        explicit_bzero((char *)(uintptr_t)s, strlen(s));
}

void wc_tenant_options_release(struct wc_tenant_options *o)
{
    const char **field[STRINGS];
    strings_of(o, field);
    wipe(o->pg.password);
    wipe(o->judge.pg.password);
    for (size_t i = 0; i < STRINGS; i++)
        free((void *)(uintptr_t)*field[i]); /* ours, from strdup; const in the struct */
}
