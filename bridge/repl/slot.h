/*
 * Slots as the catalog shows them, and the commands that make and read one. Pure.
 *
 * Options of the stream: proto_version 1 (from 10 on; what 2 to 4 add,
 * streaming of open transactions and two-phase commits, is not wanted: changes leave in commit
 * order), publication_names; and `messages` where the server knows it (from 14). Not given:
 * `binary` (from 14; text is what is rendered), `origin` (from 16; its default `any` is meant: a
 * row that came by replication from elsewhere has changed here as well).
 *
 * Ownership: borrows. Source: database reference 6.2, 6.3, 6.7.
 */
#ifndef WC_BRIDGE_REPL_SLOT_H
#define WC_BRIDGE_REPL_SLOT_H

#include "base/buf.h"

enum { WC_SLOT_NAME_CAP = 64 };

/* A row of sql/q_slot.sql. Text, or NULL where SQL says NULL. */
struct wc_slot_row {
    const char *name, *plugin, *database;
    bool is_here; /* it decodes the database we are connected to */
    const char *active_pid;
    const char *wal_status;    /* 13+; empty before */
    const char *invalidated;   /* 17+: why; 16: "conflict"; empty otherwise */
    bool is_synced_on_standby; /* 17+: a copy of the primary's, to be read after promotion */
};

/* Why this slot cannot be read now: a code and a text for wc_pg_reason. NULL: it can. */
const char *wc_slot_objection(const struct wc_slot_row *, char *text, size_t cap);

/* The commands, NUL-terminated. The name is of a-z, 0-9 and _. */
void wc_slot_create_command(struct wc_buf *, const char *name, bool temporary);
struct wc_slot_start {
    const char *name;
    const char *publications; /* comma separated */
    const char *one_more;     /* another one; NULL: none */
    bool with_messages;
};
void wc_slot_start_command(struct wc_buf *, const struct wc_slot_start *);

#endif
