"""Reads traffic by route: requests, errors and latencies of every service that exposes them."""
