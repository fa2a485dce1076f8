/*
 * What a join asks for: `config` of its payload, read leniently (a member of the wrong type has its
 * default), and the bindings; without `config`, the binding that the topic stands for.
 *
 * Ownership: everything borrows the message and the arena. Threads: pure. Limits: WC_BINDINGS_MAX
 * bindings. Source: protocol reference, sections 3.2, 4.6, 7.2, 15.
 */
#ifndef WC_FANOUT_JOIN_CONFIG_H
#define WC_FANOUT_JOIN_CONFIG_H

#include "fanout/binding.h"
#include "fanout/channel.h"
#include "fanout/phoenix.h"
#include "fanout/replay.h"

struct wc_join_config {
    struct wc_channel_config channel;
    struct wc_replay_wish replay;
    uint32_t changes_ms; /* answered when the changes stand, refused after so long; 0: at once */
    uint32_t nbindings;
    uint32_t node[WC_BINDINGS_MAX], id[WC_BINDINGS_MAX];
    const struct wc_json *doc; /* of the nodes: the message's, or */
    struct wc_json legacy;
};

/* `config.private`, which is asked before the rest. */
bool wc_join_config_is_private(const struct wc_phx_message *, struct wc_arena *);

/* False: the reason to refuse the join is appended. `doc` may point into *out, which therefore must
 * stay where it is. */
WC_MUST_USE
bool wc_join_config_parse(struct wc_join_config *out, const struct wc_phx_message *,
                          struct wc_arena *, struct wc_buf *reason);

#endif
