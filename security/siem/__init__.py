"""Forwarding of the trail to security information and event management, by syslog or HTTPS."""
