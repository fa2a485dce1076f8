/*
 * The Phoenix serializers V1 and V2, text frames: bytes to messages and messages to frames. The
 * binary frames of V2 are in phxbin.h.
 *
 *   V1  {"topic":T,"event":E,"payload":P,"ref":R[,"join_ref":J]}   J is never sent
 *   V2  [J,R,T,E,P]                                                more elements are ignored
 *
 * Refs are echoed as the JSON text they arrived in, whatever its type, so here they are slices of
 * JSON; an absent one is `null`.
 * Ownership: decoded messages borrow the text and the arena; encoders return an owned frame.
 * Threads: pure. Errors: decode PROTO (err->text says what), LIMIT, NOMEM; encoders NULL when out
 * of memory. Limits: a ref is at most 255 bytes, what the binary frames can carry; a topic at most
 * 4096, since it is kept, and echoed in every message of its channel.
 * Source: protocol reference, section 2.
 */
#ifndef WC_FANOUT_PHOENIX_H
#define WC_FANOUT_PHOENIX_H

#include "base/json.h"
#include "fanout/frame.h"

enum { WC_PHX_REF_MAX = 255, WC_PHX_TOPIC_MAX = 4096 };

/* In what kind of frame a message came. */
enum wc_phx_form {
    WC_PHX_TEXT,        /* payload is a node of doc */
    WC_PHX_BINARY_PUSH, /* kind 0: payload bytes in data */
    WC_PHX_USER_JSON,   /* kind 3, event `broadcast`: JSON in data, not looked at */
    WC_PHX_USER_BINARY, /* kind 3, event `broadcast`: bytes in data */
};

struct wc_phx_message {
    enum wc_phx_form form;
    struct wc_json doc;            /* empty in every form but TEXT */
    struct wc_slice topic, event;  /* unescaped */
    struct wc_slice ref, join_ref; /* JSON text */
    uint32_t payload;              /* node of doc, or NONE */
    struct wc_slice user_event;    /* of kind 3 */
    struct wc_slice data;
};

WC_MUST_USE
enum wc_status wc_phx_decode(enum wc_serializer, struct wc_slice text, struct wc_arena *,
                             struct wc_phx_message *out, struct wc_err *err);

/* What every server message consists of. V1 leaves join_ref out. */
struct wc_phx_envelope {
    struct wc_slice topic, event;  /* UTF-8, to be escaped */
    struct wc_slice ref, join_ref; /* JSON text; empty is null */
};

struct wc_frame *wc_phx_encode(enum wc_serializer, const struct wc_phx_envelope *,
                               struct wc_slice payload_json);

/* A `phx_reply`; env->event is not looked at. */
struct wc_frame *wc_phx_reply(enum wc_serializer, const struct wc_phx_envelope *env, bool ok,
                              struct wc_slice response_json);

/* Event `broadcast`, refs null, payload {"event":E,"payload":P,"type":"broadcast"} and, unless id.p
 * is NULL, "meta":{"id":ID}. */
struct wc_phx_named {
    struct wc_slice event, id;    /* UTF-8, to be escaped */
    struct wc_slice payload_json; /* valid JSON */
};
struct wc_frame *wc_phx_named(enum wc_serializer, struct wc_slice topic,
                              const struct wc_phx_named *);

/* Event `postgres_changes`, refs null, payload {"ids":[...],"data":D}. data_json is rendered once
 * and shared by all topics and serializers; one allocation of the exact size. */
struct wc_frame *wc_phx_change(enum wc_serializer, struct wc_slice topic, const uint32_t *ids,
                               size_t nids, struct wc_slice data_json);

#endif
