#include "base/map.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    WC_ASSERT(getrandom(hash_key, sizeof hash_key, 0) == (ssize_t)sizeof hash_key);
}

static inline uint64_t rotl(uint64_t x, unsigned b)
{
    return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t wc_hash(struct wc_slice s)
{
    (void)pthread_once(&hash_once, draw_key); /* cannot fail with a static initialiser */
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575u, hash_key[1] ^ 0x646f72616e646f6du,
                     hash_key[0] ^ 0x6c7967656e657261u, hash_key[1] ^ 0x7465646279746573u};
    size_t left = s.len;
    const uint8_t *p = s.p;
    uint64_t word;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)s.len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void wc_map_init(struct wc_map *m)
{
    *m = (struct wc_map){0};
}

void wc_map_release(struct wc_map *m)
{
    free(m->bucket);
    wc_map_init(m);
}

static bool resize(struct wc_map *m, size_t buckets)
{
    struct wc_map_node **fresh = calloc(buckets, sizeof *fresh);
    if (!fresh)
        return false;
    for (size_t i = 0; m->bucket && i <= m->mask; i++) {
        for (struct wc_map_node *n = m->bucket[i], *next; n; n = next) {
            next = n->next;
            struct wc_map_node **at = &fresh[n->hash & (buckets - 1)];
            n->next = *at;
            *at = n;
        }
    }
    free(m->bucket);
    m->bucket = fresh;
    m->mask = buckets - 1;
    return true;
}

static struct wc_map_node *find(struct wc_map_node *n, uint64_t hash, struct wc_slice key)
{
    while (n && (n->hash != hash || !wc_slice_eq(n->key, key)))
        n = n->next;
    return n;
}

struct wc_map_node *wc_map_get(const struct wc_map *m, struct wc_slice key)
{
    if (m->count == 0)
        return NULL;
    uint64_t hash = wc_hash(key);
    return find(m->bucket[hash & m->mask], hash, key);
}

struct wc_map_node *wc_map_next(const struct wc_map_node *n)
{
    return find(n->next, n->hash, n->key);
}

enum wc_status wc_map_insert(struct wc_map *m, struct wc_map_node *node)
{
    if (!m->bucket && !resize(m, 8))
        return WC_NOMEM;
    if (m->count > m->mask)
        (void)resize(m, (m->mask + 1) * 2); /* longer chains are slower, not wrong */
    node->hash = wc_hash(node->key);
    struct wc_map_node **at = &m->bucket[node->hash & m->mask];
    node->next = *at;
    *at = node;
    m->count++;
    return WC_OK;
}

void wc_map_remove(struct wc_map *m, struct wc_map_node *node)
{
    struct wc_map_node **at = &m->bucket[node->hash & m->mask];
    while (*at != node) {
        WC_ASSERT(*at);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
}

struct wc_map_node *wc_map_each(const struct wc_map *m, const struct wc_map_node *after)
{
    if (m->count == 0)
        return NULL;
    if (after && after->next)
        return after->next;
    for (size_t i = after ? (after->hash & m->mask) + 1 : 0; i <= m->mask; i++)
        if (m->bucket[i])
            return m->bucket[i];
    return NULL;
}
