#include "fanout/tls.h"

#include "base/log.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct wc_tls {
    char *cert_file, *key_file; /* const, as is the next */
    SSL_CTX *client;

    pthread_mutex_t lock; /* lock 5 of base/thread.h; guards the rest */
    SSL_CTX *identity;    /* holds certificate, chain and key; shared with handshakes under way */
};

/* ---- files ---- */

/* Of the first error that OpenSSL has queued, which is the cause of the others. */
static enum wc_status report(struct wc_err *err, const char *what, const char *file)
{
    unsigned long e = ERR_get_error();
    const char *why =
        ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
    ERR_clear_error();
    return wc_err_set(err, WC_INVALID, "%s %s: %s", what, file, why ? why : "cannot be used");
}

/* A key with a passphrase is refused: nobody is there to be asked. */
static int no_passphrase(char *buf, int size, int for_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    (void)arg;
    return 0;
}

static enum wc_status read_files(const struct wc_tls *t, SSL_CTX *into, struct wc_err *err)
{
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(into, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(into, t->cert_file) != 1)
        return report(err, "certificate", t->cert_file);
    if (SSL_CTX_use_PrivateKey_file(into, t->key_file, SSL_FILETYPE_PEM) != 1)
        return report(err, "key", t->key_file);
    if (SSL_CTX_check_private_key(into) != 1)
        return report(err, "key", t->key_file);
    return WC_OK;
}

static void log_loaded(const struct wc_tls *t, const SSL_CTX *identity)
{
    struct tm until;
    char text[32] = "";
    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(identity)), &until) == 1)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &until); /* fits */
    WC_LOG(WC_LOG_INFO, "tls", "certificate", "file=%s valid_until=%s", t->cert_file, text);
}

enum wc_status wc_tls_reload(struct wc_tls *t, struct wc_err *err)
{
    SSL_CTX *fresh = SSL_CTX_new(TLS_server_method());
    if (!fresh)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    enum wc_status st = read_files(t, fresh, err);
    if (st == WC_OK) {
        log_loaded(t, fresh);
        (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
        SSL_CTX *earlier = t->identity;
        t->identity = fresh;
        (void)pthread_mutex_unlock(&t->lock);
        fresh = earlier;
    }
    SSL_CTX_free(fresh);
    return st;
}

/* ---- handshakes ---- */

static SSL_CTX *identity_of(struct wc_tls *t)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    SSL_CTX *identity = t->identity;
    (void)SSL_CTX_up_ref(identity); /* cannot fail */
    (void)pthread_mutex_unlock(&t->lock);
    return identity;
}

/* 0 ends the handshake. */
static int on_certificate_wanted(SSL *ssl, void *arg)
{
    SSL_CTX *identity = identity_of(arg);
    STACK_OF(X509) *chain = NULL;
    (void)SSL_CTX_get0_chain_certs(identity, &chain); /* NULL where there is none */
    int ok = SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(identity),
                                  SSL_CTX_get0_privatekey(identity), chain, 1);
    SSL_CTX_free(identity);
    return ok;
}

struct ssl_ctx_st *wc_tls_client_context(const struct wc_tls *t)
{
    return t->client;
}

bool wc_tls_configure(struct wc_tls *t, struct ssl_ctx_st *ctx)
{
    SSL_CTX_set_cert_cb(ctx, on_certificate_wanted, t);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION); /* returns all options */
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1; /* of TLS 1.2 */
}

/* ---- life ---- */

enum wc_status wc_tls_new(const char *cert_file, const char *key_file, struct wc_tls **out,
                          struct wc_err *err)
{
    struct wc_tls *t = calloc(1, sizeof *t);
    if (!t)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    (void)pthread_mutex_init(&t->lock, NULL); /* cannot fail with default attributes */
    t->cert_file = strdup(cert_file);
    t->key_file = strdup(key_file);
    t->client = SSL_CTX_new(TLS_client_method());
    bool ok = t->cert_file && t->key_file && t->client;
    enum wc_status st = ok ? wc_tls_reload(t, err) : wc_err_set(err, WC_NOMEM, "out of memory");
    if (st == WC_OK)
        *out = t;
    else
        wc_tls_free(t);
    return st;
}

void wc_tls_free(struct wc_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->identity);
    SSL_CTX_free(t->client);
    free(t->cert_file);
    free(t->key_file);
    (void)pthread_mutex_destroy(&t->lock); /* nobody holds it */
    free(t);
}
