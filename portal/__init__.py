"""The roof: settings, URLs, the admin site, the API router, the dashboard and the commands."""

import os

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    # Before the first metric is made: each keeps the class of its value.
    from portal import counting

    counting.share_folder_between_hosts()

__version__ = "0.1.0"
