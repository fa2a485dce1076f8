/*
 * The certificate of our listener: what is presented to who connects now, replaced while
 * connections that were made with an earlier one go on. One of the homes of OpenSSL; its types
 * appear by forward declaration only.
 *
 * Each socket thread has an SSL_CTX of its own, made by libwebsockets, without a certificate: every
 * handshake takes the one that is valid then. (A context that is given another certificate keeps
 * the old one beside it when their key types differ.) TLS 1.2 and 1.3, forward secrecy, no
 * renegotiation.
 *
 * Ownership: copies the file names. Threads: configure: the thread that makes the context;
 * handshakes of those contexts: theirs; reload: any, one at a time. Errors: INVALID and IO with
 * *err, which says which file, and never what is in it; the certificate before stays.
 */
#ifndef WC_FANOUT_TLS_H
#define WC_FANOUT_TLS_H

#include "base/err.h"

#include <stdbool.h>

struct wc_tls;
struct ssl_ctx_st;

/* PEM: the certificate and those that lead to its root; its key, without a passphrase. */
WC_MUST_USE
enum wc_status wc_tls_new(const char *cert_file, const char *key_file, struct wc_tls **out,
                          struct wc_err *err);
void wc_tls_free(struct wc_tls *); /* after the contexts; NULL is fine */

/* Reads the files again. */
WC_MUST_USE
enum wc_status wc_tls_reload(struct wc_tls *, struct wc_err *err);

/* A context for connections of our own, of which there are none: libwebsockets would make one for
 * each thread, and finds only the last again to free it. Borrowed. */
struct ssl_ctx_st *wc_tls_client_context(const struct wc_tls *);

/* False: OpenSSL does not take it. The context borrows us. */
WC_MUST_USE
bool wc_tls_configure(struct wc_tls *, struct ssl_ctx_st *);

#endif
