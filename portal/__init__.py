"""The roof: settings, URLs, the admin site, the API router, the dashboard and the commands."""

__version__ = "0.1.0"
