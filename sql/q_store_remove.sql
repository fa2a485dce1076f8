-- A tenant and its extensions.
-- $1 external_id
-- Columns: external_id, if there was one
delete from _realtime.tenants where external_id = $1 returning external_id
