"""Runs every part of the portal in the foreground: what `manage.py up` stands for.

The parts are operating-system processes of this checkout; this package starts them in order,
watches them, and stops them in order. It needs neither the database nor Redis itself.
"""
