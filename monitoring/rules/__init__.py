"""Alert rules as rows: written, checked, previewed and exported for Prometheus."""
