/*
 * What a channel of a private room may do: asked of the policies of realtime.messages through the
 * change source (source.h), kept in the channel (`may`, of what is `known`), where delivery and
 * sending test a bit. A channel of a public room may do everything, and nothing is asked.
 *
 *   when                           asked                                  the channel meanwhile
 *   join                           read broadcasts; presence, if wanted   waits, is in no room
 *   first broadcast                write, both kinds                      waits
 *   first track                    the same, and read presence            waits
 *   new token                      read, as far as it was known           waits, what arrives is
 *                                                                         held back; write is
 *                                                                         forgotten
 *
 * Waiting: wait.h. What is not known is not permitted, and neither is anything when the question
 * could not be answered: a join is refused, a refreshed channel shut, with the texts of the
 * reference. Sending that could not be decided is refused for what was kept till then, and asked
 * about again with the next message.
 * A new token ends what the old one was permitted at once. Yet nothing is lost when it is permitted
 * the same: up to HELD_MAX frames that arrive before the answer are held back and delivered after
 * it, if it permits them, and dropped if not (or if they are more). A presence that may be read
 * from now on begins with its state, without which clients do not look at diffs. In the same way a
 * channel that wants a replay is in its room while it waits, so that there is no gap between what
 * is replayed (all that was streamed before the question came, see bridge/authz) and what arrives
 * live, unless more than HELD_MAX frames come after the rows were read: if there are more of them,
 * the oldest are dropped then.
 *
 * Threads: the hub's. Errors: a session that runs out of memory is closed, as everywhere.
 * Source: protocol reference, sections 3.4 (rows 8 to 10), 3.10, 4.4, 5.4, 8.2.
 */
#ifndef WC_FANOUT_PERMIT_H
#define WC_FANOUT_PERMIT_H

#include "fanout/hub.h"
#include "fanout/phoenix.h"

struct wc_held_back;
struct wc_wait;

/* The channel's join waits for permissions. */
void wc_permit_join(struct wc_channel *);
/* It has a new token. */
void wc_permit_refresh(struct wc_channel *);

/* What is not known and must be before this message can be dealt with: of enum wc_permission. */
unsigned wc_permit_lacks(const struct wc_channel *, const struct wc_phx_message *);
/* Keeps the message and asks. */
void wc_permit_ask_to_send(struct wc_channel *, unsigned lacks, struct wc_slice message,
                           bool is_binary);

/* From the rings; shared. One that nobody waits for any more is dropped. */
void wc_permit_answer(struct wc_hub *, struct wc_msg *);
void wc_permit_time_out(struct wc_channel *);

/* A frame of its room that needs a permission which the channel has not now; id NULL: it is no row
 * of the database. True: the answer it waits for may give it, and the frame is held back, or else
 * accounted for. */
bool wc_permit_hold_back(struct wc_channel *, struct wc_held *, unsigned needs, const uint8_t *id);
/* Out of the wait; to be dropped, or delivered to the channel, which ends when its session does. */
struct wc_held_back *wc_permit_take_held(struct wc_wait *);
void wc_permit_drop_held(struct wc_hub *, struct wc_held_back *);
void wc_permit_release_held(struct wc_channel *, struct wc_held_back *);

#endif
