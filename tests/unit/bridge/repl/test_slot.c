#include "bridge/repl/slot.h"

#include "bridge/pg/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void each_slot_has_its_state_and_remedy(void **state)
{
    (void)state;
    static const struct {
        struct wc_slot_row row;
        const char *event, *hint; /* a word of it; NULL event: it can be read */
    } table[] = {
        {{"s", "pgoutput", "d", true, NULL, "reserved", "", false}, NULL, NULL},
        {{"s", "pgoutput", "d", true, NULL, "", "", false},
         NULL,
         NULL}, /* Postgres 12 does not say */
        {{"s", "pgoutput", "d", true, NULL, "extended", "", false}, NULL, NULL},
        {{"s", "pgoutput", "d", true, NULL, "unreserved", "", false},
         NULL,
         NULL}, /* may still recover by being read */
        {{"s", "pgoutput", "d", true, "4711", "reserved", "", false},
         "slot_active",
         "another process"},
        {{"s", "pgoutput", "d", false, NULL, "reserved", "", false}, "slot_foreign", "SLOT_NAME"},
        {{"s", "wal2json", "d", true, NULL, "reserved", "", false}, "slot_foreign", "SLOT_NAME"},
        {{"s", NULL, NULL, false, NULL, "reserved", "", false}, "slot_foreign", "SLOT_NAME"},
        {{"s", "pgoutput", "d", true, NULL, "lost", "", false},
         "slot_invalidated",
         "max_slot_wal_keep_size"},
        {{"s", "pgoutput", "d", true, NULL, "lost", "wal_removed", false},
         "slot_invalidated",
         "max_slot_wal_keep_size"},
        {{"s", "pgoutput", "d", true, NULL, "lost", "idle_timeout", false},
         "slot_invalidated",
         "idle_replication_slot_timeout"},
        {{"s", "pgoutput", "d", true, NULL, "lost", "rows_removed", false},
         "slot_invalidated",
         "hot_standby_feedback"},
        {{"s", "pgoutput", "d", true, NULL, "reserved", "conflict", false},
         "slot_invalidated",
         "drop"},
        {{"s", "pgoutput", "d", true, NULL, "reserved", "", true}, "slot_not_promoted", "promoted"},
        /* what cannot be mended by waiting comes first */
        {{"s", "pgoutput", "d", true, "4711", "lost", "", false}, "slot_invalidated", "drop"},
        {{"s", "wal2json", "d", true, "4711", "reserved", "", false}, "slot_foreign", "SLOT_NAME"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[200] = "";
        const char *code = wc_slot_objection(&table[i].row, text, sizeof text);
        if (!table[i].event) {
            assert_null(code);
            continue;
        }
        assert_non_null(code);
        struct wc_pg_reason why = wc_pg_reason(code, text);
        assert_string_equal(why.event, table[i].event);
        assert_non_null(strstr(why.hint, table[i].hint));
        assert_non_null(strstr(text, "s"));
    }
}

static void long_names_are_cut_and_never_overrun(void **state)
{
    (void)state;
    char name[64], text[20];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct wc_slot_row row = {name, name, "d", true, NULL, "reserved", "", false};
    assert_non_null(wc_slot_objection(&row, text, sizeof text));
    assert_int_equal(strlen(text), sizeof text - 1);
}

static void expect_start(const char *publications, const char *option)
{
    struct wc_buf sql, expected;
    wc_buf_init(&sql, 1 << 16);
    wc_buf_init(&expected, 1 << 16);
    wc_slot_start_command(&sql, &(struct wc_slot_start){.name = "s", .publications = publications});
    wc_buf_printf(&expected,
                  "START_REPLICATION SLOT \"s\" LOGICAL 0/0 (proto_version '1', publication_names "
                  "%s)",
                  option);
    wc_buf_byte(&expected, '\0');
    assert_int_equal(sql.status, WC_OK);
    assert_string_equal((const char *)sql.p, (const char *)expected.p);
    wc_buf_release(&sql);
    wc_buf_release(&expected);
}

static void publications_are_identifiers_inside_one_literal(void **state)
{
    (void)state;
    expect_start("supabase_realtime", "'\"supabase_realtime\"'");
    expect_start(" a , b ", "'\"a\",\"b\"'");
    expect_start("My Pub", "'\"My Pub\"'");
    expect_start("it's", "'\"it''s\"'");
    expect_start("say \"hi\"", "'\"say \"\"hi\"\"\"'");
    expect_start("back\\slash", "'\"back\\slash\"'");
    expect_start("p'); DROP_REPLICATION_SLOT s; --", "'\"p''); DROP_REPLICATION_SLOT s; --\"'");
}

static void no_publication_is_left_out_however_many_there_are(void **state)
{
    (void)state;
    struct wc_buf list, option;
    wc_buf_init(&list, 1 << 16);
    wc_buf_init(&option, 1 << 16);
    for (int i = 0; i < 500; i++) {
        wc_buf_printf(&list, "%spub%04d", i ? "," : "", i);
        wc_buf_printf(&option, "%s\"pub%04d\"", i ? "," : "'", i);
    }
    wc_buf_str(&option, "'");
    wc_buf_byte(&list, '\0');
    wc_buf_byte(&option, '\0');
    expect_start((const char *)list.p, (const char *)option.p);
    wc_buf_release(&list);
    wc_buf_release(&option);
}

static void only_a_slot_without_a_given_name_is_temporary(void **state)
{
    (void)state;
    struct wc_buf sql;
    wc_buf_init(&sql, 1000);
    wc_slot_create_command(&sql, "mine", false);
    assert_string_equal((const char *)sql.p, "CREATE_REPLICATION_SLOT \"mine\" LOGICAL pgoutput "
                                             "NOEXPORT_SNAPSHOT");
    wc_buf_reset(&sql);
    wc_slot_create_command(&sql, "tmp", true);
    assert_string_equal((const char *)sql.p, "CREATE_REPLICATION_SLOT \"tmp\" TEMPORARY LOGICAL "
                                             "pgoutput NOEXPORT_SNAPSHOT");
    wc_buf_release(&sql);
}

static void a_slots_name_stays_a_name(void **state)
{
    (void)state;
    static const char name[] = "s\" PHYSICAL'";
    struct wc_buf sql;
    wc_buf_init(&sql, 1024);
    wc_slot_create_command(&sql, name, false);
    assert_string_equal((const char *)sql.p, "CREATE_REPLICATION_SLOT \"s\"\" PHYSICAL'\" LOGICAL "
                                             "pgoutput NOEXPORT_SNAPSHOT");
    wc_buf_reset(&sql);
    wc_slot_start_command(&sql, &(struct wc_slot_start){.name = name, .publications = "p"});
    assert_string_equal((const char *)sql.p,
                        "START_REPLICATION SLOT \"s\"\" PHYSICAL'\" LOGICAL 0/0 (proto_version "
                        "'1', publication_names '\"p\"')");
    wc_buf_release(&sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_slot_has_its_state_and_remedy),
        cmocka_unit_test(long_names_are_cut_and_never_overrun),
        cmocka_unit_test(publications_are_identifiers_inside_one_literal),
        cmocka_unit_test(no_publication_is_left_out_however_many_there_are),
        cmocka_unit_test(only_a_slot_without_a_given_name_is_temporary),
        cmocka_unit_test(a_slots_name_stays_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
