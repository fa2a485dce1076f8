#include "fanout/refresh.h"

#include "fanout/permit.h"
#include "fanout/subscription.h"
#include "fanout/token.h"

static void shut(struct wc_channel *c, enum wc_jwt_result why, const struct wc_jwt_detail *detail)
{
    struct wc_buf text;
    wc_buf_init(&text, 256);
    wc_token_refresh_text(&text, why, detail);
    wc_hub_shut_channel(c->session->hub, c, wc_buf_view(&text));
    wc_buf_release(&text);
}

static void replace(struct wc_channel *c, struct wc_slice token)
{
    struct wc_claims *claims = NULL;
    struct wc_jwt_detail detail = {0};
    int64_t now = wc_clock_wall() / 1000000;
    enum wc_jwt_result r = wc_jwt_verify(c->session->tenant->keys, token, now, &claims, &detail);
    if (r != WC_JWT_OK) {
        shut(c, r, &detail);
        return;
    }
    wc_channel_set_claims(&c->session->hub->channels, c, claims);
    wc_claims_unref(claims);
    if (c->config.is_private)
        wc_permit_refresh(c);
    else
        wc_subscription_ask(c);
}

bool wc_refresh_receive(struct wc_channel *c, const struct wc_phx_message *m)
{
    struct wc_slice token;
    if (m->form != WC_PHX_TEXT)
        return false;
    uint32_t node = wc_json_get(&m->doc, m->payload, "access_token");
    if (wc_json_type(&m->doc, node) == WC_JSON_NULL)
        return true;
    if (!wc_json_string(&m->doc, node, &c->session->hub->arena, &token))
        return false;
    if (!wc_token_is_api_key(token) && wc_hash(token) != c->claims->token_hash)
        replace(c, token);
    return true;
}
