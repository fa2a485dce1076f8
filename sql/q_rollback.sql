-- Ends a question about a private room: nothing that it did stays.
rollback
