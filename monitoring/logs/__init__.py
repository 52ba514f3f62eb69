"""Searches logs: parameters, queries, replies and links to Kibana; no log line is stored."""
