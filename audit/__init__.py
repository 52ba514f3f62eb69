"""The cellar: what happened, append-only, in PostgreSQL and in a daily JSON-lines file."""
