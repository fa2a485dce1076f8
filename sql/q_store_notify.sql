-- Tells the other servers, with the transaction, even where there are no triggers.
-- $1 external_id
select pg_catalog.pg_notify('walcast_store',
                            case when pg_catalog.octet_length($1) < 7000 then $1 else '' end)
