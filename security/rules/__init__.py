"""Detection as pure functions over events: no Django, no HTTP, no Celery, no clock of their own."""
