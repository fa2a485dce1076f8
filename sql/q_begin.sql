-- Begins a question about a private room (bridge/authz), whatever the defaults of login and database.
begin isolation level read committed, read write
