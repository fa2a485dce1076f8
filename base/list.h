/*
 * Intrusive doubly linked list. A node is a member of its object; the list head is a node too.
 * An unlinked node points at itself, so removing twice is harmless.
 * Threads: one owner.
 */
#ifndef WC_BASE_LIST_H
#define WC_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct wc_list {
    struct wc_list *prev, *next;
};

#define WC_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void wc_list_init(struct wc_list *l)
{
    l->prev = l->next = l;
}

static inline bool wc_list_is_empty(const struct wc_list *l)
{
    return l->next == l;
}

static inline void wc_list_push(struct wc_list *head, struct wc_list *node) /* at the tail */
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void wc_list_remove(struct wc_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    wc_list_init(node);
}

static inline void wc_list_move_all(struct wc_list *from, struct wc_list *to) /* in order */
{
    while (!wc_list_is_empty(from)) {
        struct wc_list *it = from->next;
        wc_list_remove(it);
        wc_list_push(to, it);
    }
}

#define WC_LIST_EACH(it, head) for (struct wc_list *it = (head)->next; it != (head); it = it->next)

/* `it` may be removed in the body. */
#define WC_LIST_EACH_SAFE(it, head)                                                                \
    for (struct wc_list *it = (head)->next, *it##_next = it->next; it != (head);                   \
         it = it##_next, it##_next = it->next)

#endif
