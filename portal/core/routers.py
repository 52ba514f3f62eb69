"""Routes queries between two aliases of the same database; reads and relations may use either."""

from typing import Any


class OneDatabaseRouter:
    def allow_relation(self, _first: Any, _second: Any, **_hints: Any) -> bool:
        return True

    def allow_migrate(self, database: str, _app: str, **_hints: Any) -> bool:
        return database == "default"
