"""What we observe: Prometheus targets, the status of services, and charts."""
