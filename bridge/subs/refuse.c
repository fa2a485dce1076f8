#include "bridge/subs/refuse.h"

#include "bridge/subs/recheck.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_CAP = 1 << 20 };

/* Names of what a cast or a comparison can raise (PostgreSQL manual, appendix A). */
static const char *condition_name(const char *sqlstate)
{
    static const char *const table[][2] = {
        {"0A000", "feature_not_supported"},
        {"22000", "data_exception"},
        {"22001", "string_data_right_truncation"},
        {"22003", "numeric_value_out_of_range"},
        {"22007", "invalid_datetime_format"},
        {"22008", "datetime_field_overflow"},
        {"22009", "invalid_time_zone_displacement_value"},
        {"22015", "interval_field_overflow"},
        {"2201B", "invalid_regular_expression"},
        {"22021", "character_not_in_repertoire"},
        {"22023", "invalid_parameter_value"},
        {"22025", "invalid_escape_sequence"},
        {"2202E", "array_subscript_error"},
        {"2200M", "invalid_xml_document"},
        {"2200N", "invalid_xml_content"},
        {"22P02", "invalid_text_representation"},
        {"22P05", "untranslatable_character"},
        {"23514", "check_violation"},
        {"42501", "insufficient_privilege"},
        {"42704", "undefined_object"},
        {"42804", "datatype_mismatch"},
        {"42809", "wrong_object_type"},
        {"42883", "undefined_function"},
        {"42P22", "indeterminate_collation"},
        {"53000", "insufficient_resources"},
        {"53200", "out_of_memory"},
        {"54000", "program_limit_exceeded"},
        {"54001", "statement_too_complex"},
        {"55P03", "lock_not_available"},
        {"57014", "query_canceled"},
        {"P0001", "raise_exception"},
        {"XX000", "internal_error"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i][0], sqlstate) == 0)
            return table[i][1];
    return sqlstate;
}

void wc_refuse_no_memory(struct wc_audience *a)
{
    wc_subs_refuse(a, wc_slice_str("out of memory"));
}

void wc_refuse_text(struct wc_audience *a, const struct wc_buf *message)
{
    if (message->status == WC_OK)
        wc_subs_refuse(a, wc_buf_view(message));
    else if (message->status == WC_LIMIT)
        wc_subs_refuse(a, wc_slice_str("the binding is too large"));
    else
        wc_refuse_no_memory(a);
}

static void begin_message(struct wc_buf *message, const struct wc_spec *spec, const char *advice)
{
    wc_buf_init(message, MESSAGE_CAP);
    wc_buf_str(message, "Unable to subscribe to changes with given parameters. ");
    wc_buf_str(message, advice);
    wc_buf_str(message, " parameters: ");
    wc_spec_describe(spec, message);
}

WC_PRINTF(2, 0)
static void append_text(struct wc_buf *message, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    uint8_t *at = len < 0 ? NULL : wc_buf_reserve(message, (size_t)len + 1);
    if (!at)
        return;
    (void)vsnprintf((char *)at, (size_t)len + 1, format, args); /* as long as before */
    wc_buf_commit(message, (size_t)len);
}

void wc_refuse_exception(struct wc_audience *a, const struct wc_spec *spec, const char *sqlstate,
                         const char *format, ...)
{
    struct wc_buf message;
    va_list args;
    begin_message(&message, spec, "An exception happened so please check your connect");
    wc_buf_printf(&message, ". Exception: ERROR %s (%s) ", sqlstate, condition_name(sqlstate));
    va_start(args, format);
    append_text(&message, format, args);
    va_end(args);
    wc_refuse_text(a, &message);
    wc_buf_release(&message);
}

void wc_refuse_unpublished(struct wc_audience *a, const struct wc_spec *spec)
{
    struct wc_buf message;
    begin_message(&message, spec, "Please check Realtime is enabled for the given connect");
    if (message.status == WC_OK)
        wc_subs_rest(a, wc_buf_view(&message));
    else
        wc_refuse_text(a, &message);
    wc_buf_release(&message);
}
