"""Monitoring: Prometheus targets, checks, the status of services, charts, errors, logs and traffic."""
