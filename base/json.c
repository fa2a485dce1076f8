/*
 * One pass over the text checks the whole grammar without recursion (a bit per nesting level says
 * array or object) and counts the nodes; only then jsmn tokenises, into an array of exactly that
 * size. In this order because jsmn alone accepts malformed text, and because its search for the
 * enclosing bracket costs time in proportion to the depth, which must be bounded first.
 * JSMN_PARENT_LINKS: without it every closing bracket looks through all tokens before it.
 * Dropped: tokenising into a growing array and checking afterwards; it scans large texts twice in
 * jsmn and leaves the outgrown arrays in the arena.
 */
#include "base/json.h"

#include "base/hex.h"

#include <math.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

enum {
    DEPTH_MAX = 512,       /* levels the scanner has bits for; limits above it are cut to it */
    DOUBLE_TEXT_MAX = 512, /* more digits than any finite double needs in practice */
};

/* jsmn's token, with `parent` replaced by the number of nodes of the subtree (see set_spans). */
struct wc_json_node {
    jsmntok_t token;
};

_Static_assert(sizeof(struct wc_json_node) == sizeof(jsmntok_t), "jsmn fills an array of nodes");

struct scan {
    const uint8_t *start, *at, *end;
    struct wc_json_limits limits;
    uint32_t nodes, depth;
    enum wc_status status;
    const char *problem;
    uint64_t is_object[DEPTH_MAX / 64];
};

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after '[' */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* after '{' */
    EXPECT_COLON,
    EXPECT_MORE_OR_END, /* after a value in a container */
    EXPECT_NOTHING,
};

static bool fail(struct scan *s, enum wc_status status, const char *problem)
{
    s->status = status;
    s->problem = problem;
    return false;
}

/* Bytes of the UTF-8 sequence at p, 0 when it is malformed. The ranges of the second byte are the
 * table of RFC 3629, section 4. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < n)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool wc_utf8_ok(struct wc_slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_length(s.p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* The value of four hex digits, -1 when they are not. */
static int32_t hex4(const uint8_t *p)
{
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = wc_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static bool is_high_surrogate(int32_t v)
{
    return v >= 0xd800 && v <= 0xdbff;
}

static bool is_low_surrogate(int32_t v)
{
    return v >= 0xdc00 && v <= 0xdfff;
}

static size_t left(const struct scan *s)
{
    return (size_t)(s->end - s->at);
}

/* At the 'u' escape of a backslash; surrogates must come in pairs. */
static bool scan_unicode_escape(struct scan *s)
{
    int32_t v = left(s) >= 6 ? hex4(s->at + 2) : -1;
    if (v < 0)
        return fail(s, WC_PROTO, "\\u without four hex digits");
    if (is_low_surrogate(v))
        return fail(s, WC_PROTO, "lone surrogate");
    if (is_high_surrogate(v)) {
        if (left(s) < 12 || s->at[6] != '\\' || s->at[7] != 'u' ||
            !is_low_surrogate(hex4(s->at + 8)))
            return fail(s, WC_PROTO, "lone surrogate");
        s->at += 6;
    }
    s->at += 6;
    return true;
}

static bool scan_escape(struct scan *s)
{
    switch (left(s) >= 2 ? s->at[1] : 0) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': s->at += 2; return true;
    case 'u': return scan_unicode_escape(s);
    default: return fail(s, WC_PROTO, "unknown escape in a string");
    }
}

/* Skips what needs no look: eight bytes at a time while all are printable ASCII other than quote
 * and backslash. A borrow between bytes can only follow a byte that stops the skipping anyway. */
static void skip_plain(struct scan *s)
{
    const uint64_t ones = 0x0101010101010101u;
    while (left(s) >= 8) {
        uint64_t w;
        memcpy(&w, s->at, 8);
        uint64_t control = w - ones * 0x20;
        uint64_t quote = (w ^ ones * '"') - ones;
        uint64_t backslash = (w ^ ones * '\\') - ones;
        if ((w | control | quote | backslash) & ones * 0x80)
            return;
        s->at += 8;
    }
}

static bool scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        skip_plain(s);
        if (s->at == s->end)
            return fail(s, WC_PROTO, "string without end");
        uint8_t c = *s->at;
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(s, WC_PROTO, "control character in a string");
        if (c == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        size_t n = utf8_length(s->at, left(s));
        if (n == 0)
            return fail(s, WC_PROTO, "invalid UTF-8");
        s->at += n;
    }
    s->at++;
    return true;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool at_digit(const struct scan *s)
{
    return s->at < s->end && is_digit(*s->at);
}

static bool scan_digits(struct scan *s)
{
    if (!at_digit(s))
        return fail(s, WC_PROTO, "digit expected");
    while (at_digit(s))
        s->at++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++; /* nothing may follow a leading zero; the next token would be the error */
    else if (!scan_digits(s))
        return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if (left(s) < n || memcmp(s->at, word, n) != 0)
        return fail(s, WC_PROTO, "unknown literal");
    s->at += n;
    return true;
}

static enum expect after_value(const struct scan *s)
{
    return s->depth ? EXPECT_MORE_OR_END : EXPECT_NOTHING;
}

static bool in_object(const struct scan *s)
{
    uint32_t level = s->depth - 1;
    return s->is_object[level / 64] >> (level % 64) & 1;
}

static bool open_container(struct scan *s, enum expect *next)
{
    if (s->depth == s->limits.depth)
        return fail(s, WC_LIMIT, "nested too deeply");
    uint32_t level = s->depth++;
    uint64_t bit = (uint64_t)1 << (level % 64);
    if (*s->at++ == '{') {
        s->is_object[level / 64] |= bit;
        *next = EXPECT_KEY_OR_END;
    } else {
        s->is_object[level / 64] &= ~bit;
        *next = EXPECT_VALUE_OR_END;
    }
    return true;
}

static bool count_node(struct scan *s)
{
    if (s->nodes == s->limits.nodes)
        return fail(s, WC_LIMIT, "too many values");
    s->nodes++;
    return true;
}

static bool scan_value(struct scan *s, enum expect *next)
{
    if (!count_node(s))
        return false;
    *next = after_value(s);
    switch (*s->at) {
    case '{':
    case '[': return open_container(s, next);
    case '"': return scan_string(s);
    case 't': return scan_word(s, "true");
    case 'f': return scan_word(s, "false");
    case 'n': return scan_word(s, "null");
    default:
        if (*s->at == '-' || is_digit(*s->at))
            return scan_number(s);
        return fail(s, WC_PROTO, "value expected");
    }
}

static bool scan_key(struct scan *s, enum expect *next)
{
    if (*s->at != '"')
        return fail(s, WC_PROTO, "object key expected");
    *next = EXPECT_COLON;
    return count_node(s) && scan_string(s);
}

static void close_container(struct scan *s, enum expect *next)
{
    s->at++;
    s->depth--;
    *next = after_value(s);
}

static bool scan_more(struct scan *s, enum expect *next)
{
    bool object = in_object(s);
    if (*s->at == ',') {
        s->at++;
        *next = object ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    }
    if (*s->at != (object ? '}' : ']'))
        return fail(s, WC_PROTO, "comma or closing bracket expected");
    close_container(s, next);
    return true;
}

static bool scan_step(struct scan *s, enum expect *next)
{
    switch (*next) {
    case EXPECT_VALUE_OR_END:
        if (*s->at != ']')
            return scan_value(s, next);
        close_container(s, next);
        return true;
    case EXPECT_VALUE: return scan_value(s, next);
    case EXPECT_KEY_OR_END:
        if (*s->at != '}')
            return scan_key(s, next);
        close_container(s, next);
        return true;
    case EXPECT_KEY: return scan_key(s, next);
    case EXPECT_COLON:
        if (*s->at != ':')
            return fail(s, WC_PROTO, "colon expected");
        s->at++;
        *next = EXPECT_VALUE;
        return true;
    case EXPECT_MORE_OR_END: return scan_more(s, next);
    case EXPECT_NOTHING: break;
    }
    return false;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

static bool scan_document(struct scan *s)
{
    enum expect next = EXPECT_VALUE;
    do {
        skip_space(s);
        if (s->at == s->end)
            return fail(s, WC_PROTO, "text ends early");
        if (!scan_step(s, &next))
            return false;
    } while (next != EXPECT_NOTHING);
    skip_space(s);
    return s->at == s->end || fail(s, WC_PROTO, "bytes after the end of the value");
}

/* In strict mode jsmn refuses a number or literal that is the whole document. */
static bool tokenise_scalar(struct wc_json *doc)
{
    const uint8_t *p = doc->text.p;
    size_t from = 0;
    size_t to = doc->text.len;
    while (is_space(p[from]))
        from++;
    if (p[from] == '{' || p[from] == '[' || p[from] == '"')
        return false;
    while (is_space(p[to - 1]))
        to--;
    doc->node[0].token =
        (jsmntok_t){.type = JSMN_PRIMITIVE, .start = (int)from, .end = (int)to, .parent = -1};
    return true;
}

static bool tokenise(struct wc_json *doc)
{
    if (tokenise_scalar(doc))
        return true;
    jsmn_parser parser;
    jsmn_init(&parser);
    int n = jsmn_parse(&parser, (const char *)doc->text.p, doc->text.len, &doc->node[0].token,
                       doc->count);
    return n >= 0 && (uint32_t)n == doc->count;
}

/* Backwards, so that the spans of the children are known; each node is looked at once as a child.
 * jsmn makes a value the child of its key, so the span of a key includes its value. */
static void set_spans(struct wc_json *doc)
{
    for (uint32_t i = doc->count; i-- > 0;) {
        uint32_t after = i + 1;
        for (int child = 0; child < doc->node[i].token.size; child++)
            after += (uint32_t)doc->node[after].token.parent;
        doc->node[i].token.parent = (int)(after - i);
    }
}

enum wc_status wc_json_parse(struct wc_json *out, struct wc_slice text, struct wc_arena *arena,
                             struct wc_json_limits limits, struct wc_err *err)
{
    if (text.len > INT32_MAX) /* jsmn's offsets are int */
        return wc_err_set(err, WC_LIMIT, "JSON text of %zu bytes", text.len);
    if (text.len == 0)
        text = wc_slice_str("");
    struct scan s = {.start = text.p, .at = text.p, .end = text.p + text.len, .limits = limits};
    if (s.limits.depth > DEPTH_MAX)
        s.limits.depth = DEPTH_MAX;
    if (!scan_document(&s)) {
        size_t at = (size_t)(s.at - s.start);
        (void)wc_err_set(err, s.status, "%s at byte %zu", s.problem, at);
        if (err)
            err->at = at;
        return s.status;
    }
    struct wc_json doc = {.text = text, .count = s.nodes};
    doc.node = wc_arena_alloc(arena, s.nodes * sizeof *doc.node);
    if (!doc.node)
        return wc_err_set(err, WC_NOMEM, "no memory for %u JSON values", s.nodes);
    if (!tokenise(&doc))
        return wc_err_set(err, WC_PROTO, "tokeniser and checker disagree");
    set_spans(&doc);
    *out = doc;
    return WC_OK;
}

static const jsmntok_t *token(const struct wc_json *doc, uint32_t node)
{
    return node < doc->count ? &doc->node[node].token : NULL;
}

static struct wc_slice token_text(const struct wc_json *doc, const jsmntok_t *t)
{
    return wc_slice(doc->text.p + t->start, (size_t)(t->end - t->start));
}

enum wc_json_type wc_json_type(const struct wc_json *doc, uint32_t node)
{
    const jsmntok_t *t = token(doc, node);
    if (!t)
        return WC_JSON_ABSENT;
    switch (t->type) {
    case JSMN_OBJECT: return WC_JSON_OBJECT;
    case JSMN_ARRAY: return WC_JSON_ARRAY;
    case JSMN_STRING: return WC_JSON_STRING;
    case JSMN_PRIMITIVE:
    case JSMN_UNDEFINED: break;
    }
    switch (doc->text.p[t->start]) {
    case 'n': return WC_JSON_NULL;
    case 't': return WC_JSON_TRUE;
    case 'f': return WC_JSON_FALSE;
    default: return WC_JSON_NUMBER;
    }
}

struct wc_slice wc_json_raw(const struct wc_json *doc, uint32_t node)
{
    const jsmntok_t *t = token(doc, node);
    if (!t)
        return wc_slice(NULL, 0);
    struct wc_slice s = token_text(doc, t);
    return t->type == JSMN_STRING ? wc_slice(s.p - 1, s.len + 2) : s;
}

uint32_t wc_json_count(const struct wc_json *doc, uint32_t node)
{
    const jsmntok_t *t = token(doc, node);
    return t && (t->type == JSMN_OBJECT || t->type == JSMN_ARRAY) ? (uint32_t)t->size : 0;
}

uint32_t wc_json_first(const struct wc_json *doc, uint32_t node)
{
    return wc_json_count(doc, node) ? node + 1 : WC_JSON_NONE;
}

/* What follows in the text tells key, last child and the rest apart. */
uint32_t wc_json_next(const struct wc_json *doc, uint32_t node)
{
    struct wc_slice raw = wc_json_raw(doc, node);
    if (!raw.p)
        return WC_JSON_NONE;
    const uint8_t *end = doc->text.p + doc->text.len;
    const uint8_t *p = raw.p + raw.len;
    while (p < end && is_space(*p))
        p++;
    if (p == end)
        return WC_JSON_NONE;
    if (*p == ':')
        return node + 1;
    return *p == ',' ? node + (uint32_t)doc->node[node].token.parent : WC_JSON_NONE;
}

static size_t put_utf8(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Decodes the escape at p (checked by the scan) into out; *len is what it became. Returns the
 * length of the escape. */
static size_t unescape(const uint8_t *p, uint8_t out[4], size_t *len)
{
    *len = 1;
    switch (p[1]) {
    case 'b': out[0] = '\b'; return 2;
    case 'f': out[0] = '\f'; return 2;
    case 'n': out[0] = '\n'; return 2;
    case 'r': out[0] = '\r'; return 2;
    case 't': out[0] = '\t'; return 2;
    case 'u': break;
    default: out[0] = p[1]; return 2;
    }
    int32_t high = hex4(p + 2);
    if (!is_high_surrogate(high)) {
        *len = put_utf8(out, (uint32_t)high);
        return 6;
    }
    int32_t low = hex4(p + 8);
    *len = put_utf8(out, (uint32_t)(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
    return 12;
}

static bool has_escape(struct wc_slice s)
{
    return s.len && memchr(s.p, '\\', s.len);
}

/* Compares an escaped string piece by piece, so that look-ups need no memory. */
static bool escaped_equals(struct wc_slice raw, struct wc_slice plain)
{
    size_t done = 0;
    for (size_t i = 0; i < raw.len;) {
        uint8_t piece[4] = {raw.p[i]};
        size_t n = 1;
        i += raw.p[i] == '\\' ? unescape(raw.p + i, piece, &n) : 1;
        if (plain.len - done < n || memcmp(plain.p + done, piece, n) != 0)
            return false;
        done += n;
    }
    return done == plain.len;
}

uint32_t wc_json_get(const struct wc_json *doc, uint32_t object, const char *key)
{
    if (wc_json_type(doc, object) != WC_JSON_OBJECT)
        return WC_JSON_NONE;
    struct wc_slice wanted = wc_slice_str(key);
    uint32_t found = WC_JSON_NONE;
    uint32_t at = object + 1;
    for (uint32_t left_over = wc_json_count(doc, object); left_over > 0; left_over--) {
        const jsmntok_t *t = token(doc, at);
        struct wc_slice name = token_text(doc, t);
        if (has_escape(name) ? escaped_equals(name, wanted) : wc_slice_eq(name, wanted))
            found = at + 1;
        at += (uint32_t)t->parent;
    }
    return found;
}

bool wc_json_string(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                    struct wc_slice *out)
{
    const jsmntok_t *t = token(doc, node);
    if (!t || t->type != JSMN_STRING)
        return false;
    struct wc_slice raw = token_text(doc, t);
    if (!has_escape(raw)) {
        *out = raw;
        return true;
    }
    uint8_t *copy = wc_arena_alloc(arena, raw.len); /* no escape grows when it is decoded */
    if (!copy)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < raw.len;) {
        if (raw.p[i] != '\\') {
            copy[len++] = raw.p[i++];
            continue;
        }
        uint8_t piece[4];
        size_t n;
        i += unescape(raw.p + i, piece, &n);
        memcpy(copy + len, piece, n);
        len += n;
    }
    *out = wc_slice(copy, len);
    return true;
}

/* value = mantissa * 10^shift; the mantissa has no trailing zeros, so a negative shift is a
 * fraction. False when the mantissa does not fit. */
struct decimal {
    bool negative;
    uint64_t mantissa;
    int64_t shift;
};

static bool scale(uint64_t *v, int64_t by)
{
    for (; by > 0; by--)
        if (__builtin_mul_overflow(*v, 10u, v))
            return false;
    return true;
}

static bool add_digit(struct decimal *d, uint8_t digit, int64_t *zeros)
{
    if (digit == '0') {
        ++*zeros;
        return true;
    }
    if (d->mantissa && !scale(&d->mantissa, *zeros + 1))
        return false;
    *zeros = 0;
    return !__builtin_add_overflow(d->mantissa, (uint64_t)(digit - '0'), &d->mantissa);
}

static int64_t parse_exponent(struct wc_slice s)
{
    const int64_t ceiling = (int64_t)INT32_MAX * 4; /* beyond what any fraction can make up for */
    bool negative = s.len && s.p[0] == '-';
    int64_t v = 0;
    for (size_t i = s.len && !is_digit(s.p[0]); i < s.len; i++)
        if (v < ceiling)
            v = v * 10 + (s.p[i] - '0');
    return negative ? -v : v;
}

static bool parse_decimal(struct wc_slice s, struct decimal *out)
{
    struct decimal d = {.negative = s.p[0] == '-'};
    int64_t zeros = 0;
    int64_t fraction = 0;
    bool after_point = false;
    size_t i = d.negative;
    for (; i < s.len && (s.p[i] | 0x20) != 'e'; i++) {
        if (s.p[i] == '.') {
            after_point = true;
            continue;
        }
        fraction += after_point;
        if (!add_digit(&d, s.p[i], &zeros))
            return false;
    }
    int64_t exponent = i < s.len ? parse_exponent(wc_slice(s.p + i + 1, s.len - i - 1)) : 0;
    d.shift = zeros - fraction + exponent;
    *out = d;
    return true;
}

bool wc_json_int(const struct wc_json *doc, uint32_t node, int64_t *out)
{
    struct decimal d;
    if (wc_json_type(doc, node) != WC_JSON_NUMBER || !parse_decimal(wc_json_raw(doc, node), &d))
        return false;
    if (d.mantissa == 0) {
        *out = 0;
        return true;
    }
    if (d.shift < 0 || !scale(&d.mantissa, d.shift))
        return false;
    uint64_t largest = (uint64_t)INT64_MAX + d.negative;
    if (d.mantissa > largest)
        return false;
    *out = d.negative ? (int64_t)(0 - d.mantissa) : (int64_t)d.mantissa;
    return true;
}

bool wc_json_double(const struct wc_json *doc, uint32_t node, double *out)
{
    if (wc_json_type(doc, node) != WC_JSON_NUMBER)
        return false;
    struct wc_slice raw = wc_json_raw(doc, node);
    char text[DOUBLE_TEXT_MAX + 1];
    if (raw.len > DOUBLE_TEXT_MAX)
        return false;
    memcpy(text, raw.p, raw.len);
    text[raw.len] = '\0';
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}
