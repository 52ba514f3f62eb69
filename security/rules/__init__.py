"""Detection rules as pure functions over events: no Django, no HTTP, no Celery, and no clock."""
