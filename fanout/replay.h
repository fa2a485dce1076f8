/*
 * Rows of realtime.messages that a channel of a private room gets again right after its join was
 * answered, oldest first.
 *
 *   row     V1                                                              V2
 *   JSON    {event,payload,type,meta:{"id":ID,"replayed":true}}             the same, as text
 *   bytes   none                                                            kind 4 with that meta
 *
 * Their ids are remembered for the life of the channel: what arrives live with one of them is not
 * delivered again. They count as no events.
 * Threads: parse and holds are pure, the rest the hub's. Limits: 25 rows, and of those the newest
 * that fit half of the connection's queue.
 * Source: protocol reference, sections 2.4 and 4.6.
 */
#ifndef WC_FANOUT_REPLAY_H
#define WC_FANOUT_REPLAY_H

#include "base/json.h"
#include "fanout/msg.h"

enum { WC_REPLAY_MAX = 25 };

struct wc_channel;

/* `config.broadcast.replay` */
struct wc_replay_wish {
    bool is_wanted, is_valid;
    int64_t since_ms; /* Unix time */
    uint32_t limit;
};

/* node NONE or null: not wanted. */
struct wc_replay_wish wc_replay_parse(const struct wc_json *, uint32_t node);

struct wc_replay_ids {
    uint32_t count;
    uint8_t id[][16];
};

bool wc_replay_holds(const struct wc_replay_ids *, const uint8_t id[16]);

/* The channel is in its room and its join answered. A row that does not fit a frame is left out.
 * False: its session has been closed. */
WC_MUST_USE
bool wc_replay_deliver(struct wc_channel *, const struct wc_replay *);

#endif
