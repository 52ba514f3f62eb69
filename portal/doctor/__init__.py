"""Examines everything the portal depends on, and says of each fault how it is cured."""
