-- A tenant's secrets sealed anew, unless somebody has changed one of them meanwhile.
-- $1 external_id; $2 jwt_secret as it was; $3 as it is to be; $4 type of the extension, or null;
-- $5 its settings as they were; $6 as they are to be
with t as (
    select external_id from _realtime.tenants
     where external_id = $1 and jwt_secret is not distinct from $2::text
       for update),
e as (
    update _realtime.extensions set settings = $6::jsonb
     where tenant_external_id in (select external_id from t)
       and type = $4::text and settings = $5::jsonb
 returning type)
update _realtime.tenants
   set jwt_secret = $3,
       gcm_migrated_at = pg_catalog.date_trunc('second', pg_catalog.timezone('utc', pg_catalog.now()))
 where external_id in (select external_id from t)
   and ($4::text is null or exists (select from e))
