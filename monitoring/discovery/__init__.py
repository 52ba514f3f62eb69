"""Scrape targets that the portal hands to Prometheus over HTTP service discovery."""
