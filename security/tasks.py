"""Housekeeping: the rows of sessions that have ended, half-finished sign-ins among them, are deleted."""

from celery import shared_task

from security import sessions


@shared_task
def clear_expired() -> None:
    sessions.clear_expired()
