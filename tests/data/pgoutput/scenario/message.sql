create publication pub;
-- capture
select pg_logical_emit_message(false, 'p', '');
select pg_logical_emit_message(true, 'walcast', 'in a transaction');
