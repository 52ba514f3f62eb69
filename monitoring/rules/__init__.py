"""Alert rules stored as rows: editing, validation, preview, and export for Prometheus."""
