#include "bridge/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARGS_MAX = 12 };

/* One attempt to load: NULL-terminated environment and arguments, the outcome, the lines. */
struct attempt {
    enum wc_config_use use;
    const char *env[ARGS_MAX];
    const char *args[ARGS_MAX]; /* without the command word */
    enum wc_status status;
    struct wc_config *config;
    struct wc_buf lines;
};

static struct wc_config_input input_of(const struct attempt *a, char *env[ARGS_MAX],
                                       char *argv[ARGS_MAX + 1])
{
    struct wc_config_input in = {.use = a->use, .argc = 1, .argv = argv, .env = env};
    memcpy(env, a->env, sizeof a->env);
    argv[0] = NULL; /* the command word is not looked at */
    for (; a->args[in.argc - 1]; in.argc++)
        memcpy(&argv[in.argc], &a->args[in.argc - 1], sizeof *argv);
    return in;
}

static void begin_lines(struct attempt *a)
{
    a->config = NULL;
    wc_buf_init(&a->lines, 1 << 16);
}

static void end_lines(struct attempt *a)
{
    wc_buf_byte(&a->lines, '\0');
    assert_int_equal(a->lines.status, WC_OK);
    assert_true((a->status == WC_OK) == (a->config != NULL));
}

static void load(struct attempt *a)
{
    char *env[ARGS_MAX];
    char *argv[ARGS_MAX + 1];
    struct wc_config_input in = input_of(a, env, argv);
    begin_lines(a);
    a->status = wc_config_load(&in, &a->lines, &a->config);
    end_lines(a);
}

static void reload(const struct wc_config *now, struct attempt *a)
{
    char *env[ARGS_MAX];
    char *argv[ARGS_MAX + 1];
    struct wc_config_input in = input_of(a, env, argv);
    begin_lines(a);
    a->status = wc_config_reload(now, &in, &a->lines, &a->config);
    end_lines(a);
}

static const char *lines(const struct attempt *a)
{
    return (const char *)a->lines.p;
}

static void done(struct attempt *a)
{
    wc_config_free(a->config);
    wc_buf_release(&a->lines);
}

static void defaults_need_nothing_but_the_secret(void **state)
{
    (void)state;
    struct attempt a = {.env = {"JWT_SECRET=s3cret"}};
    load(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(lines(&a), "");
    const struct wc_config *c = a.config;
    assert_string_equal(c->db_host, "127.0.0.1");
    assert_int_equal(c->db_port, 5432);
    assert_string_equal(c->db_name, "postgres");
    assert_string_equal(c->db_password, "");
    assert_int_equal(c->db_sslmode, WC_DB_SSLMODE_PREFER);
    assert_string_equal(c->slot_name, "");
    assert_string_equal(c->publications, "supabase_realtime");
    assert_int_equal(c->port, 4000);
    assert_string_equal(c->jwt_secret, "s3cret");
    assert_string_equal(c->tenant_name, "realtime-dev");
    assert_int_equal(c->tenant_host, WC_TENANT_HOST_AUTO);
    assert_int_equal(c->ring_entries, 4096);
    assert_int_equal(c->max_frame_bytes, 5000000);
    assert_int_equal(c->log_level, WC_LOG_LEVEL_INFO);
    done(&a);
}

static void environment_of_v1_starts_it(void **state)
{
    (void)state;
    struct attempt a = {.env = {"DB_HOST=db.example", "DB_PORT=6543", "DB_NAME=app",
                                "DB_USER=replicator", "DB_PASSWORD=p=w \"d", "SLOT_NAME=my_slot_1",
                                "PORT=4001", "JWT_SECRET=abc", "UNRELATED=x"}};
    load(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(a.config->db_host, "db.example");
    assert_int_equal(a.config->db_port, 6543);
    assert_string_equal(a.config->db_name, "app");
    assert_string_equal(a.config->db_user, "replicator");
    assert_string_equal(a.config->db_password, "p=w \"d");
    assert_string_equal(a.config->slot_name, "my_slot_1");
    assert_int_equal(a.config->port, 4001);
    done(&a);
}

static void options_win_over_the_environment_and_the_last_one_counts(void **state)
{
    (void)state;
    struct attempt a = {.env = {"JWT_SECRET=abc", "PORT=4001", "DB_HOST=env", "SLOT_NAME=from_env"},
                        .args = {"--port", "4002", "--db-host=first", "--db-host", "second",
                                 "--slot-name=", "--db-password=--odd--"}};
    load(&a);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.config->port, 4002);
    assert_string_equal(a.config->db_host, "second");
    assert_string_equal(a.config->slot_name, "");
    assert_string_equal(a.config->db_password, "--odd--");
    done(&a);
}

static void an_empty_variable_counts_as_unset(void **state)
{
    (void)state;
    struct attempt a = {.env = {"JWT_SECRET=abc", "PORT=", "DB_HOST=", "LOG_LEVEL=", "PORTX=7"}};
    load(&a);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.config->port, 4000);
    assert_string_equal(a.config->db_host, "127.0.0.1");
    done(&a);
}

static void words_are_read_in_any_case_and_given_back(void **state)
{
    (void)state;
    struct attempt a = {.env = {"JWT_SECRET=abc", "LOG_LEVEL=DEBUG", "DB_SSLMODE=Verify-Full"}};
    load(&a);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.config->log_level, WC_LOG_LEVEL_DEBUG);
    assert_string_equal(wc_config_word_text(a.config->db_sslmode), "verify-full");
    done(&a);
}

static void a_bad_value_is_named_with_what_is_allowed(void **state)
{
    (void)state;
    const struct {
        const char *env, *line;
    } table[] = {
        {"PORT=0", "PORT: \"0\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=65536", "PORT: \"65536\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=4294971296", "PORT: \"4294971296\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=99999999999999999999999", "PORT: \"99999999999999999999999\" is not allowed; "
                                         "allowed: 1 to 65535\n"},
        {"PORT=-1", "PORT: \"-1\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=+80", "PORT: \"+80\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT= 80", "PORT: \" 80\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=80 ", "PORT: \"80 \" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=0x50", "PORT: \"0x50\" is not allowed; allowed: 1 to 65535\n"},
        {"PORT=http\x1b[2J", "PORT: \"http\\x1b[2J\" is not allowed; allowed: 1 to 65535\n"},
        {"RING_ENTRIES=1000",
         "RING_ENTRIES: \"1000\" is not allowed; allowed: a power of two from 2 to 65536\n"},
        {"RING_ENTRIES=1",
         "RING_ENTRIES: \"1\" is not allowed; allowed: a power of two from 2 to 65536\n"},
        {"TENANT_HOST=all",
         "TENANT_HOST: \"all\" is not allowed; allowed: one of auto, any, strict\n"},
        {"LOG_LEVEL=require", "LOG_LEVEL: \"require\" is not allowed; allowed: one of debug, info, "
                              "warn, error, warning\n"},
        {"SLOT_NAME=My-Slot",
         "SLOT_NAME: \"My-Slot\" is not allowed; allowed: 0 to 63 characters of a-z, 0-9 and _\n"},
        {"SLOT_NAME=a234567890123456789012345678901234567890123456789012345678901234",
         "SLOT_NAME: \"a234567890123456789012345678901234567890123456789012345678901234\" is not "
         "allowed; allowed: 0 to 63 characters of a-z, 0-9 and _\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct attempt a = {.env = {"JWT_SECRET=abc", table[i].env}};
        load(&a);
        assert_int_equal(a.status, WC_INVALID);
        assert_string_equal(lines(&a), table[i].line);
        done(&a);
    }
}

static void every_problem_is_reported_at_once(void **state)
{
    (void)state;
    struct attempt a = {.env = {"PORT=x", "DB_SSLMODE=maybe"},
                        .args = {"--ring-entries", "3", "--nonsense=1", "stray", "--db-port"}};
    load(&a);
    assert_int_equal(a.status, WC_INVALID);
    assert_string_equal(
        lines(&a),
        "\"--nonsense\": no such option; --help lists them\n"
        "\"stray\": not an option; options begin with --\n"
        "\"--db-port\": needs a value; write --name=value if it begins with --\n"
        "DB_SSLMODE: \"maybe\" is not allowed; allowed: one of disable, allow, prefer, require, "
        "verify-ca, verify-full\n"
        "PORT: \"x\" is not allowed; allowed: 1 to 65535\n"
        "--ring-entries: \"3\" is not allowed; allowed: a power of two from 2 to 65536\n"
        "JWT_SECRET: must be set to serve the one database of DB_*; or set DB_ENC_KEY_GCM (32 "
        "bytes) to serve the tenants that are kept there\n");
    done(&a);
}

static void a_secret_or_a_key_chooses_the_mode(void **state)
{
    (void)state;
    static const char *const chosen[] = {"JWT_SECRET=a", "DB_ENC_KEY=0123456789abcdef",
                                         "DB_ENC_KEY_GCM=x"};
    for (size_t i = 0; i < 3; i++) {
        struct attempt a = {.env = {chosen[i]}};
        load(&a);
        assert_int_equal(a.status, WC_OK);
        done(&a);
    }
    struct attempt none = {.env = {"DB_ENC_KEY=", "PORT=80"}};
    load(&none);
    assert_int_equal(none.status, WC_INVALID);
    assert_non_null(strstr(lines(&none), "JWT_SECRET"));
    done(&none);
}

static void a_secret_is_never_repeated(void **state)
{
    (void)state;
    char env[1100] = "DB_PASSWORD=";
    memset(env + 12, 'z', 1025);
    struct attempt a = {.env = {env}, .args = {"--jwt-secrt=zzzz", "--db-passwords", "zzzz"}};
    load(&a);
    assert_int_equal(a.status, WC_INVALID);
    assert_non_null(strstr(lines(&a), "DB_PASSWORD: its value (not shown) is not allowed"));
    assert_null(strstr(lines(&a), "zz"));
    done(&a);
}

static void long_bad_values_are_cut(void **state)
{
    (void)state;
    char env[6000] = "PUBLICATIONS=";
    memset(env + 13, 'p', 5000);
    struct attempt a = {.env = {"JWT_SECRET=abc", env}};
    load(&a);
    assert_int_equal(a.status, WC_INVALID);
    assert_true(a.lines.len < 200);
    assert_non_null(strstr(lines(&a), "ppp...\""));
    done(&a);
}

static void a_tool_needs_no_secret_but_valid_values(void **state)
{
    (void)state;
    struct attempt good = {.use = WC_CONFIG_TOOL, .env = {"DB_HOST=x"}};
    load(&good);
    assert_int_equal(good.status, WC_OK);
    assert_string_equal(good.config->jwt_secret, "");
    done(&good);
    struct attempt bad = {.use = WC_CONFIG_TOOL, .env = {"DB_PORT=x"}};
    load(&bad);
    assert_int_equal(bad.status, WC_INVALID);
    done(&bad);
}

static void no_input_at_all_gives_the_defaults(void **state)
{
    (void)state;
    struct wc_config_input in = {.use = WC_CONFIG_TOOL};
    struct wc_buf text;
    struct wc_config *c;
    wc_buf_init(&text, 1000);
    assert_int_equal(wc_config_load(&in, &text, &c), WC_OK);
    assert_int_equal(c->port, 4000);
    wc_config_free(c);
    wc_buf_release(&text);
}

static void reload_changes_what_may_change_and_tells_the_rest(void **state)
{
    (void)state;
    struct attempt first = {.env = {"JWT_SECRET=old", "PORT=4001"}};
    load(&first);
    struct attempt second = {.env = {"JWT_SECRET=new", "PORT=4002", "LOG_LEVEL=error"}};
    reload(first.config, &second);
    assert_int_equal(second.status, WC_OK);
    assert_int_equal(second.config->log_level, WC_LOG_LEVEL_ERROR);
    assert_int_equal(second.config->port, 4001);
    assert_string_equal(second.config->jwt_secret, "old");
    assert_ptr_not_equal(second.config->jwt_secret, first.config->jwt_secret);
    assert_string_equal(lines(&second),
                        "PORT: the new value takes effect at the next start\n"
                        "JWT_SECRET: the new value takes effect at the next start\n");
    assert_int_equal(first.config->log_level, WC_LOG_LEVEL_INFO);
    done(&second);
    done(&first);
}

static void an_invalid_reload_gives_no_snapshot(void **state)
{
    (void)state;
    struct attempt first = {.env = {"JWT_SECRET=old"}};
    load(&first);
    struct attempt second = {.env = {"JWT_SECRET=old", "LOG_LEVEL=loud"}};
    reload(first.config, &second);
    assert_int_equal(second.status, WC_INVALID);
    assert_non_null(strstr(lines(&second), "LOG_LEVEL: \"loud\""));
    done(&second);
    done(&first);
}

static void help_lists_every_setting_with_its_option(void **state)
{
    (void)state;
    struct wc_buf help;
    wc_buf_init(&help, 1 << 16);
    wc_config_help(&help);
    wc_buf_byte(&help, '\0');
    const char *text = (const char *)help.p;
#define WC_SETTING(symbol, name, ...) assert_non_null(strstr(text, "\n  " name ", --"));
#define WC_WORD(setting, symbol, word)
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
    assert_non_null(strstr(text, "  SLOT_NAME, --slot-name (empty)\n"));
    assert_non_null(strstr(text, "  JWT_SECRET, --jwt-secret (empty)\n"));
    assert_non_null(strstr(text, "  RESUME_GRACE_MS, --resume-grace-ms (5000 ms)\n"));
    wc_buf_release(&help);
}

static void readme_table_has_a_row_for_every_setting(void **state)
{
    (void)state;
    struct wc_buf table;
    size_t rows = 0;
    size_t settings = 0;
    wc_buf_init(&table, 1 << 16);
    wc_config_readme(&table);
    for (size_t i = 0; i < table.len; i++)
        rows += table.p[i] == '\n';
#define WC_SETTING(...) settings++;
#define WC_WORD(setting, symbol, word)
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
    assert_int_equal(rows, settings + 2);
    wc_buf_release(&table);
}

static void settings_without_effect_are_named_when_they_are_set(void **state)
{
    (void)state;
    char a[] = "SECRET_KEY_BASE=x", b[] = "DB_QUEUE_TARGET=1",
         c[] = "NUM_ACCEPTORS=", d[] = "SECRET_KEY_BASES=x", e[] = "DB_HOST=h",
         f[] = "OTEL_TRACES_EXPORTER=x", g[] = "APP_NAME", h[] = "DB_QUEUE=1";
    char *env[] = {a, b, c, d, e, f, g, h, NULL};
    struct wc_buf names;
    wc_buf_init(&names, 4096);
    wc_config_accepted(env, &names);
    assert_true(
        wc_slice_is(wc_buf_view(&names), "SECRET_KEY_BASE,DB_QUEUE_TARGET,OTEL_TRACES_EXPORTER"));
    wc_buf_release(&names);
    wc_config_accepted(NULL, &names);
    assert_int_equal(names.len, 0);
}

static void help_is_asked_for_by_either_option(void **state)
{
    (void)state;
    char serve[] = "serve", port[] = "--port=1", help[] = "--help", h[] = "-h";
    char *none[] = {help, port}; /* the command word is skipped */
    char *long_form[] = {serve, port, help};
    char *short_form[] = {serve, h};
    assert_false(wc_config_wants_help(2, none));
    assert_true(wc_config_wants_help(3, long_form));
    assert_true(wc_config_wants_help(2, short_form));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_need_nothing_but_the_secret),
        cmocka_unit_test(environment_of_v1_starts_it),
        cmocka_unit_test(options_win_over_the_environment_and_the_last_one_counts),
        cmocka_unit_test(an_empty_variable_counts_as_unset),
        cmocka_unit_test(words_are_read_in_any_case_and_given_back),
        cmocka_unit_test(a_bad_value_is_named_with_what_is_allowed),
        cmocka_unit_test(every_problem_is_reported_at_once),
        cmocka_unit_test(a_secret_or_a_key_chooses_the_mode),
        cmocka_unit_test(a_secret_is_never_repeated),
        cmocka_unit_test(long_bad_values_are_cut),
        cmocka_unit_test(a_tool_needs_no_secret_but_valid_values),
        cmocka_unit_test(no_input_at_all_gives_the_defaults),
        cmocka_unit_test(reload_changes_what_may_change_and_tells_the_rest),
        cmocka_unit_test(an_invalid_reload_gives_no_snapshot),
        cmocka_unit_test(help_lists_every_setting_with_its_option),
        cmocka_unit_test(readme_table_has_a_row_for_every_setting),
        cmocka_unit_test(settings_without_effect_are_named_when_they_are_set),
        cmocka_unit_test(help_is_asked_for_by_either_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
