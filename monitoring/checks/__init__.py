"""Checks ask services from outside: questions, answers, flips, uptime, alerts."""
