"""Runs every part of the portal in the foreground, for `manage.py up`.

The parts are operating-system processes; this package starts them in order, watches them, and stops
them in reverse order. The supervisor itself uses neither the database nor Redis.
"""
