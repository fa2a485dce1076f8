/*
 * How much has come in on a TCP connection: the kernel counts it, libpq does not say.
 * Threads: any. Source: tcp(7), TCP_INFO.
 */
#ifndef WC_BRIDGE_PG_RECEIVED_H
#define WC_BRIDGE_PG_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

/* False: it is not known, as of a Unix socket. */
bool wc_pg_received(int fd, uint64_t *bytes);

#endif
