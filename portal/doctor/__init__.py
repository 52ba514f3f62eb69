"""Examines everything the portal depends on, and says how to fix each fault."""
