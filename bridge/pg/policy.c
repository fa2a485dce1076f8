#include "bridge/pg/policy.h"

/* Blanks and backslashes of a value are escaped. */
static void add_value(struct wc_buf *b, const char *value)
{
    for (const char *p = value; *p; p++) {
        if (*p == ' ' || *p == '\\')
            wc_buf_byte(b, '\\');
        wc_buf_byte(b, *p);
    }
}

void wc_pg_policy_options(struct wc_buf *b, const char *search_path)
{
    wc_buf_str(b, "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres "
                  "-c extra_float_digits=1 -c bytea_output=hex -c array_nulls=on -c jit=off "
                  "-c row_security=on "
                  "-c request.jwt.claims= -c request.jwt.claim= -c request.jwt.claim.sub= "
                  "-c request.jwt.claim.role= -c request.jwt.claim.email= -c request.headers= "
                  "-c request.cookies= -c request.method= -c request.path= -c realtime.topic= "
                  "-c search_path=");
    add_value(b, search_path);
    wc_buf_byte(b, ' ');
}
