"""Date and time formats (FORMAT_MODULE_PATH)."""
