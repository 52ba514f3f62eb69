"""Forwards the audit trail to security information and event management (SIEM), by syslog or HTTPS."""
