/*
 * Stands in for bridge/pg where code sends queries and reads answers: queries are kept in order and
 * answered by the test; of a segment the last one stands for all. One connection. Answers hold
 * texts; NULL is SQL NULL.
 */
#ifndef TEST_FAKE_PG_H
#define TEST_FAKE_PG_H

#include "bridge/pg/pg.h"

enum { FAKE_PG_QUERIES = 64, FAKE_PG_PARAMS = 5 };

struct wc_pg {
    enum wc_status refuses; /* what it says to a query; OK: it takes the query */
    size_t count, answered;
    struct fake_pg_query {
        size_t nstatements;
        char *sql, *param[FAKE_PG_PARAMS];
        wc_pg_result_fn done;
        void *arg;
    } query[FAKE_PG_QUERIES];
};

void fake_pg_release(struct wc_pg *);
/* The oldest query without an answer gets one. cell: row by row. */
void fake_pg_answer(struct wc_pg *, int nrows, int ncols, const char *const *cell);
void fake_pg_fail(struct wc_pg *, const char *sqlstate); /* "": the connection is lost */

#endif
