/*
 * Broadcasts: what a client, a request over HTTP or a database sends to everybody in a room.
 *
 * A message is encoded once for each serializer that somebody in the room uses, whatever the number
 * of receivers, and leaves as one room message (msg.h). What the receivers of a serializer get:
 *
 *   form         from                      V1                           V2
 *   VERBATIM     event `broadcast`, text   the payload                  the payload; none if it is
 *                                                                       not an object
 *   NAMED        HTTP, batch               {event,payload,type[,meta]}  the same
 *   USER_JSON    kind 3; HTTP, single      {event,payload,type}         kind 4
 *   USER_BINARY  kind 3; HTTP, single      none                         kind 4
 *   ROW_JSON     database                  {event,payload,type,meta}    kind 4, with metadata
 *   ROW_BINARY   database                  none                         kind 4, with metadata
 *   PUSH         kind 0                    none                         kind 2
 *
 * Payloads are never parsed and written anew: what was received goes out byte for byte, so numbers
 * keep their digits. JSON of a kind 3 is looked at only when it goes into a V1 message, where
 * something else could forge the message around it; V1 receivers get none then.
 *
 * What a database sends has an id, which receivers get: as meta, or as the metadata of kind 4.
 *
 * Limits: the tenant's payload size; a publisher whose overflow is full takes no more. While
 * messages wait for a full ring the sending connection is not read.
 * Threads: encode and fits are pure, emit is the publisher's, the rest the hub's. Source: protocol
 * reference, sections 2.4 and 4.1 to 4.3.
 */
#ifndef WC_FANOUT_BROADCAST_H
#define WC_FANOUT_BROADCAST_H

#include "fanout/hub.h"
#include "fanout/phoenix.h"

enum wc_broadcast_form {
    WC_BROADCAST_VERBATIM,
    WC_BROADCAST_NAMED,
    WC_BROADCAST_USER_JSON,
    WC_BROADCAST_USER_BINARY,
    WC_BROADCAST_PUSH,
    WC_BROADCAST_ROW_JSON,
    WC_BROADCAST_ROW_BINARY,
};

struct wc_broadcast {
    enum wc_broadcast_form form;
    struct wc_slice event;   /* NAMED, USER and ROW: the name inside */
    struct wc_slice id;      /* NAMED, ROW: becomes meta.id; p NULL: none */
    struct wc_slice payload; /* JSON of VERBATIM, NAMED and ROW is valid */
    const uint8_t *uuid;     /* ROW: the 16 bytes of the id */
};

/* Within `max_payload_size_in_kb` as the reference counts it: 1000 bytes, and 500 for the rest. */
bool wc_broadcast_fits(const struct wc_broadcast *, uint32_t max_payload_kb);

struct wc_broadcast_target {
    enum wc_origin origin;
    const struct wc_room *room;
    struct wc_slice topic;   /* the full one */
    struct wc_handle except; /* generation 0: none */
    struct wc_share *share;  /* of a bridge's tenant; NULL: none */
};

/* To every channel in the room but one. LIMIT: topic or event do not fit a binary frame, or the
 * publisher's overflow is full; NOMEM. Nobody gets it then. */
WC_MUST_USE
enum wc_status wc_broadcast_emit(struct wc_publisher *, const struct wc_broadcast_target *,
                                 const struct wc_broadcast *, struct wc_arena *scratch);

/* The same from a socket thread, to every channel in the room but `except` (generation 0: none);
 * `topic` is the full one. LIMIT and NOMEM: nobody gets it, which is counted. */
WC_MUST_USE
enum wc_status wc_broadcast_publish(struct wc_hub *, enum wc_origin, const struct wc_room *,
                                    struct wc_slice topic, struct wc_handle except,
                                    const struct wc_broadcast *);

/* The same over HTTP, to every channel of a tenant's room, of which there may be none; `sub` is the
 * topic without "realtime:". */
WC_MUST_USE
enum wc_status wc_broadcast_send(struct wc_hub *, const struct wc_tenant_view *, bool is_private,
                                 struct wc_slice sub, const struct wc_broadcast *);

/* Event `broadcast` on a joined channel, of which is known whether it may (permit.h); one that may
 * not is not answered. */
void wc_broadcast_receive(struct wc_channel *, const struct wc_phx_message *);

#endif
