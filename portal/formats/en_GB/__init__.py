"""British English, with ISO dates and a 24-hour clock."""
