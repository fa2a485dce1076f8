#include "bridge/repl/slot.h"

#include "bridge/pg/array.h"

#include <stdio.h>
#include <string.h>

static bool is_lost(const struct wc_slot_row *s)
{
    return s->invalidated[0] || strcmp(s->wal_status, "lost") == 0;
}

const char *wc_slot_objection(const struct wc_slot_row *s, char *text, size_t cap)
{
    if (!s->plugin || strcmp(s->plugin, "pgoutput") != 0) {
        (void)snprintf(text, cap, "slot %s exists for plugin %.63s", s->name,
                       s->plugin ? s->plugin : "(none: it is physical)");
        return "SLOT";
    }
    if (!s->is_here) {
        (void)snprintf(text, cap, "slot %s exists for database %.63s", s->name,
                       s->database ? s->database : "-");
        return "SLOT";
    }
    if (is_lost(s)) {
        (void)snprintf(text, cap, "can no longer read slot %s: it is lost%s%.60s", s->name,
                       s->invalidated[0] ? ", reason " : "", s->invalidated);
        return "55000";
    }
    if (s->is_synced_on_standby) {
        (void)snprintf(text, cap, "slot %s is being synchronized from the primary", s->name);
        return "55000";
    }
    if (s->active_pid) {
        (void)snprintf(text, cap, "replication slot \"%s\" is active for PID %.10s", s->name,
                       s->active_pid);
        return "55006";
    }
    return NULL;
}

/* A control store may name it in any way; Postgres then says what is wrong with the name. */
static void add_slot(struct wc_buf *out, const char *name)
{
    wc_buf_byte(out, '"');
    for (; *name; name++) {
        if (*name == '"')
            wc_buf_byte(out, '"');
        wc_buf_byte(out, *name);
    }
    wc_buf_byte(out, '"');
}

void wc_slot_create_command(struct wc_buf *out, const char *name, bool temporary)
{
    wc_buf_str(out, "CREATE_REPLICATION_SLOT ");
    add_slot(out, name);
    wc_buf_str(out, temporary ? " TEMPORARY" : "");
    wc_buf_str(out, " LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    wc_buf_byte(out, '\0');
}

/* Identifiers in double quotes inside one literal in single ones: each kind of quote doubles. */
static void add_name(struct wc_buf *out, struct wc_slice name)
{
    wc_buf_byte(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        char c = (char)name.p[i];
        if (c == '"' || c == '\'')
            wc_buf_byte(out, c);
        wc_buf_byte(out, c);
    }
    wc_buf_byte(out, '"');
}

void wc_slot_start_command(struct wc_buf *out, const struct wc_slot_start *s)
{
    const char *publications = s->publications;
    wc_buf_str(out, "START_REPLICATION SLOT ");
    add_slot(out, s->name);
    wc_buf_str(out, " LOGICAL 0/0 (proto_version '1', publication_names '");
    struct wc_slice pub;
    for (bool first = true; wc_pg_next_name(&publications, &pub); first = false) {
        if (!first)
            wc_buf_byte(out, ',');
        add_name(out, pub);
    }
    if (s->one_more) {
        wc_buf_byte(out, ',');
        add_name(out, wc_slice_str(s->one_more));
    }
    wc_buf_str(out, s->with_messages ? "', messages 'true')" : "')");
    wc_buf_byte(out, '\0');
}
