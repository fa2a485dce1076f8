-- Changes of tenants, see m_store_triggers.sql
listen walcast_store
