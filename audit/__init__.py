"""The audit trail: append-only, in PostgreSQL and in a daily JSON-lines file."""
