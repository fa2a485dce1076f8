/*
 * The statements walcast sends, embedded from the q_<name>.sql and m_<name>.sql files of this
 * folder at build time; each file says what its parameters and result columns are. No SQL text
 * stands in C, except replication commands (which take no parameters) and what is put together from
 * names of the catalog: row checks (bridge/rls/rows_sql.c) and comparisons (bridge/rls/compare.c).
 */
#ifndef WC_SQL_SQL_H
#define WC_SQL_SQL_H

extern const char wc_sql_preflight[];
extern const char wc_sql_our_slot[];
extern const char wc_sql_drop_slot[];
extern const char wc_sql_slot[];
extern const char wc_sql_blocker[];
extern const char wc_sql_binding[];
extern const char wc_sql_filter_types[];
/* Templates: cast.c puts names from the catalog in the place of words in angle brackets. */
extern const char wc_sql_value[];
extern const char wc_sql_values[];
extern const char wc_sql_pattern[];
extern const char wc_sql_timeout[];
extern const char wc_sql_publication[];
extern const char wc_sql_secret[];
extern const char wc_sql_published[];
extern const char wc_sql_explain[];
extern const char wc_sql_access[];
extern const char wc_sql_brief_locks[];
extern const char wc_sql_settled[];
extern const char wc_sql_types[];
extern const char wc_sql_fence[];
extern const char wc_sql_position[];
extern const char wc_sql_check[];
extern const char wc_sql_check_rules[];
extern const char wc_sql_impersonate[];
extern const char wc_sql_visible[];
extern const char wc_sql_begin[];
extern const char wc_sql_rollback[];
extern const char wc_sql_probe[];
extern const char wc_sql_assume[];
extern const char wc_sql_probe_seen[];
extern const char wc_sql_probe_write[];
extern const char wc_sql_tampered[];
extern const char wc_sql_replay[];
extern const char wc_sql_migration_lock[];
extern const char wc_sql_partitions[];
extern const char wc_sql_rules[];

/* The control store (bridge/store). */
extern const char wc_migration_store_tables[];
extern const char wc_migration_store_triggers[];
extern const char wc_sql_store_listen[];
extern const char wc_sql_store_list[];
extern const char wc_sql_store_tenants[];
extern const char wc_sql_store_unchanged[];
extern const char wc_sql_store_put_tenant[];
extern const char wc_sql_store_drop_database[];
extern const char wc_sql_store_put_database[];
extern const char wc_sql_store_notify[];
extern const char wc_sql_store_remove[];
extern const char wc_sql_store_json[];
extern const char wc_sql_store_legacy[];
extern const char wc_sql_store_seal[];

/* `walcast migrate`, in this order; each makes what is missing and leaves alone what is there. */
extern const char wc_migration_roles[]; /* only when asked for */
extern const char wc_migration_messages[];
extern const char wc_migration_functions[];
extern const char wc_migration_grants[];
extern const char wc_migration_publications[];
extern const char wc_migration_signed[];
extern const char wc_migration_rules[]; /* where it may */

#endif
