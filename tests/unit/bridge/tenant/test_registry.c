/* Who is found, what a change means for views and clients, and that nothing is left behind. The
 * tenants have no databases; the bridges are real threads. */
#include "base/clock.h"
#include "bridge/tenant/registry.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BRIDGES = 2, SOCKETS = 2, PRODUCERS = BRIDGES + SOCKETS, DEADLINE_US = 20 * 1000000 };

struct world {
    struct wc_mesh *mesh;
    struct wc_bridge *bridge[BRIDGES];
    struct wc_registry *registry;
    struct wc_directory directory;
};

static void open_world(struct world *w, const char *default_tenant)
{
    const struct wc_registry_options o = {.defaults = {.pg = {.sslrootcert = ""},
                                                       .publications = "p",
                                                       .judge = {.search_path = "public"},
                                                       .producers = PRODUCERS},
                                          .validators = "",
                                          .slot_suffix = "",
                                          .default_tenant = default_tenant,
                                          .idle_close_ms = 1000};
    struct wc_err err;
    w->mesh = wc_mesh_new(BRIDGES, SOCKETS, 1024);
    w->registry = wc_registry_new(&o);
    assert_non_null(w->registry);
    for (unsigned i = 0; i < BRIDGES; i++) {
        w->bridge[i] = wc_bridge_new(w->mesh, NULL, i);
        assert_non_null(w->bridge[i]);
    }
    assert_int_equal(wc_registry_use_bridges(w->registry, w->bridge, BRIDGES), WC_OK);
    for (unsigned i = 0; i < BRIDGES; i++)
        assert_int_equal(wc_bridge_start(w->bridge[i], &err), WC_OK);
    w->directory = wc_registry_directory(w->registry);
}

static void close_world(struct world *w)
{
    assert_true(wc_bridges_end_streams(w->bridge, BRIDGES, 1000));
    wc_bridges_stop(w->bridge, BRIDGES);
    for (unsigned i = 0; i < BRIDGES; i++)
        wc_bridge_free(w->bridge[i]);
    wc_registry_free(w->registry);
    wc_mesh_free(w->mesh);
}

static struct wc_record *record(const char *name, const char *secret)
{
    struct wc_record *r = wc_record_new(name);
    assert_non_null(r);
    assert_true(wc_record_set(&r->jwt_secret, secret));
    return r;
}

/* Takes the record. */
static enum wc_status put(struct world *w, struct wc_record *r)
{
    struct wc_err err = {.code = WC_OK};
    enum wc_status st = wc_registry_put(w->registry, r, &err);
    assert_true(st == WC_OK || err.text[0]);
    wc_record_free(r);
    return st;
}

static struct wc_tenant_view *find(struct world *w, const char *host, const char *name)
{
    const struct wc_tenant_address at = {.host = wc_slice_str(host),
                                         .name = name ? wc_slice_str(name) : wc_slice(NULL, 0)};
    return w->directory.find(w->directory.self, &at);
}

/* The number of who is found; 0: nobody. */
static uint64_t number_at(struct world *w, const char *host, const char *name)
{
    struct wc_tenant_view *v = find(w, host, name);
    uint64_t id = v ? v->id : 0;
    wc_tenant_view_unref(v);
    return id;
}

static void assert_found(struct world *w, const char *host, const char *name, const char *id)
{
    struct wc_tenant_view *v = find(w, host, name);
    assert_non_null(v);
    assert_string_equal(v->external_id, id);
    wc_tenant_view_unref(v);
}

/* Waits until each socket thread is told to send this tenant's clients away. */
static void expect_disconnect(struct world *w, uint64_t number)
{
    for (unsigned c = 0; c < SOCKETS; c++) {
        wc_us until = wc_clock_mono() + DEADLINE_US;
        struct wc_msg *m;
        while (!(m = wc_mesh_pop(w->mesh, c, 0))) {
            assert_true(wc_clock_mono() < until);
            (void)sched_yield(); /* cannot fail on Linux */
        }
        assert_int_equal(m->kind, WC_MSG_DISCONNECT);
        assert_int_equal(m->tenant, number);
        wc_msg_unref(m);
        wc_mesh_popped(w->mesh, c);
    }
}

static void the_first_label_of_the_host_names_the_tenant(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("dev", "s")), WC_OK);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_found(&w, "dev", NULL, "dev");
    assert_found(&w, "dev.localhost", NULL, "dev");
    assert_found(&w, "a.b.c", NULL, "a");
    assert_null(find(&w, "b.a", NULL));
    assert_null(find(&w, "DEV", NULL));
    assert_null(find(&w, "de", NULL));
    assert_null(find(&w, "", NULL));
    assert_null(find(&w, ".dev", NULL));
    close_world(&w);
}

static void a_name_goes_before_the_host_and_never_falls_back(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "dev");
    assert_int_equal(put(&w, record("dev", "s")), WC_OK);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_found(&w, "dev.example.com", "a", "a");
    assert_null(find(&w, "dev.example.com", "nobody"));
    assert_null(find(&w, "dev.example.com", ""));
    assert_null(find(&w, "dev.example.com", "a.example.com"));
    close_world(&w);
}

static void the_default_tenant_gets_hosts_that_name_nobody(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "dev");
    assert_null(find(&w, "localhost", NULL)); /* it is not known yet */
    assert_int_equal(put(&w, record("dev", "s")), WC_OK);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_found(&w, "localhost", NULL, "dev");
    assert_found(&w, "", NULL, "dev");
    assert_found(&w, "a.example.com", NULL, "a");
    close_world(&w);
}

static void the_same_record_again_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    uint64_t before = number_at(&w, "a", NULL);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_int_equal(number_at(&w, "a", NULL), before);
    close_world(&w);
}

static void other_keys_make_another_tenant_and_send_the_clients_away(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    struct wc_tenant_view *before = find(&w, "a", NULL);
    assert_int_equal(put(&w, record("a", "another")), WC_OK);
    struct wc_tenant_view *after = find(&w, "a", NULL);
    assert_true(after->id > before->id);
    assert_ptr_not_equal(after->keys, before->keys);
    assert_ptr_not_equal(after->quota, before->quota);
    expect_disconnect(&w, before->id);
    expect_disconnect(&w, before->id); /* as long as somebody has it */
    assert_string_equal(before->external_id, "a");
    wc_tenant_view_unref(before);
    wc_tenant_view_unref(after);
    close_world(&w);
}

static void suspended_and_private_only_are_in_the_view(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    struct wc_record *r = record("a", "s");
    r->suspend = r->private_only = true;
    assert_int_equal(put(&w, r), WC_OK);
    struct wc_tenant_view *v = find(&w, "a", NULL);
    assert_true(v->is_suspended && v->private_only);
    uint64_t suspended = v->id;
    wc_tenant_view_unref(v);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    v = find(&w, "a", NULL);
    assert_true(!v->is_suspended && !v->private_only && v->id != suspended);
    wc_tenant_view_unref(v);
    close_world(&w);
}

static void other_limits_are_set_in_place(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    struct wc_tenant_view *v = find(&w, "a", NULL);
    struct wc_record *r = record("a", "s");
    r->max_concurrent_users = 7;
    r->max_payload_kb = 8;
    assert_int_equal(put(&w, r), WC_OK);
    assert_int_equal(number_at(&w, "a", NULL), v->id);
    assert_int_equal(wc_quota_limits(v->quota).max_concurrent_users, 7);
    assert_int_equal(wc_quota_max_payload_kb(v->quota), 8);
    wc_tenant_view_unref(v);
    close_world(&w);
}

static void a_removed_tenant_is_unknown_and_its_clients_are_sent_away(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    uint64_t number = number_at(&w, "a", NULL);
    wc_registry_remove(w.registry, "nobody");
    wc_registry_remove(w.registry, "a");
    assert_null(find(&w, "a", NULL));
    expect_disconnect(&w, number);
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_true(number_at(&w, "a", NULL) > number);
    close_world(&w);
}

static void keys_that_cannot_be_used_suspend_rather_than_leave_the_old_ones(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    uint64_t number = number_at(&w, "a", NULL);
    struct wc_record *broken = record("a", "s");
    assert_true(wc_record_set(&broken->jwt_jwks, "{\"keys\":7}"));
    assert_int_equal(put(&w, broken), WC_INVALID);
    struct wc_tenant_view *v = find(&w, "a", NULL);
    assert_true(v->is_suspended && v->id > number);
    wc_tenant_view_unref(v);
    expect_disconnect(&w, number);
    close_world(&w);
}

static void reload_sends_clients_away_and_shutdown_does_not(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "");
    assert_int_equal(put(&w, record("a", "s")), WC_OK);
    assert_int_equal(put(&w, record("b", "s")), WC_OK);
    assert_false(wc_registry_reload(w.registry, "nobody"));
    assert_false(wc_registry_shutdown(w.registry, "nobody"));
    assert_true(wc_registry_shutdown(w.registry, "a"));
    assert_true(wc_registry_reload(w.registry, "b"));
    expect_disconnect(&w, number_at(&w, "b", NULL));
    for (unsigned c = 0; c < SOCKETS; c++)
        assert_null(wc_mesh_pop(w.mesh, c, 0));
    close_world(&w);
}

static void count(void *arg, const struct wc_tenant_health *h)
{
    assert_false(h->is_open);
    ++*(size_t *)arg;
}

static void thousands_are_found_and_told(void **state)
{
    (void)state;
    enum { TENANTS = 3000 };
    struct world w;
    struct wc_tenant_health h;
    char name[32];
    size_t told = 0;
    open_world(&w, "");
    for (unsigned i = 0; i < TENANTS; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        assert_int_equal(put(&w, record(name, "secret")), WC_OK);
    }
    for (unsigned i = 0; i < TENANTS; i++) {
        (void)snprintf(name, sizeof name, "t%u.example.com", i);
        struct wc_tenant_view *v = find(&w, name, NULL);
        assert_non_null(v);
        assert_memory_equal(v->external_id, name, strlen(v->external_id));
        wc_tenant_view_unref(v);
    }
    wc_registry_each(w.registry, count, &told);
    assert_int_equal(told, TENANTS);
    assert_true(wc_registry_health(w.registry, "t7", &h));
    assert_string_equal(h.external_id, "t7");
    assert_false(h.is_open || h.db_connected || h.replication_connected || h.is_suspended);
    assert_int_equal(h.users, 0);
    assert_false(wc_registry_health(w.registry, "nobody", &h));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_label_of_the_host_names_the_tenant),
        cmocka_unit_test(a_name_goes_before_the_host_and_never_falls_back),
        cmocka_unit_test(the_default_tenant_gets_hosts_that_name_nobody),
        cmocka_unit_test(the_same_record_again_changes_nothing),
        cmocka_unit_test(other_keys_make_another_tenant_and_send_the_clients_away),
        cmocka_unit_test(suspended_and_private_only_are_in_the_view),
        cmocka_unit_test(other_limits_are_set_in_place),
        cmocka_unit_test(a_removed_tenant_is_unknown_and_its_clients_are_sent_away),
        cmocka_unit_test(keys_that_cannot_be_used_suspend_rather_than_leave_the_old_ones),
        cmocka_unit_test(reload_sends_clients_away_and_shutdown_does_not),
        cmocka_unit_test(thousands_are_found_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
