"""Checks probe services from outside: definitions, results, status flips, uptime and alerts."""
