"""Provides scrape targets to Prometheus over HTTP service discovery."""
