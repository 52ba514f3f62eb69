"""Runs private PostgreSQL and Valkey (Redis) servers from wheels, for a machine that has none.

Nothing here imports Django: `manage.py` needs the servers before the settings are read.
"""

from portal.core.embedded.places import PlaceError
from portal.core.embedded.servers import EmbeddedServers, StartError, joined

__all__ = ["EmbeddedServers", "PlaceError", "StartError", "joined"]
