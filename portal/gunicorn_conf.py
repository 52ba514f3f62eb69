"""Configures gunicorn: two processes of four threads, with the hooks that multiprocess metrics need."""

import os
from pathlib import Path
from typing import Any

from portal import env, multiprocess_metrics
from portal.web_log import EcsLogger

bind = os.environ.get("PORTAL_BIND", "127.0.0.1:8000")
workers = env.web_processes()
worker_class = "portal.web_worker.BoundedThreadWorker"
threads = 4
timeout = 60
graceful_timeout = 10
max_requests = 20_000
max_requests_jitter = 2_000
control_socket_disable = (
    True  # its socket would be in the home folder, which a container may not have
)
logger_class = EcsLogger
accesslog = None  # the portal logs each request itself
forwarded_allow_ips = "127.0.0.1"  # the portal finds the client address itself (TRUSTED_PROXIES)
limit_request_line = 8190  # PromQL in a query may be long
limit_request_field_size = 8190


def on_starting(server: Any) -> None:
    """Empty the metrics folder: files of an earlier run would be counted again.

    With PORTAL_SUPERVISED (`manage.py up`, containers) the worker shares the folder, so that we must not
    empty it: the supervisor does, or it is on a tmpfs.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder and not os.environ.get("PORTAL_SUPERVISED"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            file.unlink(missing_ok=True)


def child_exit(server: Any, worker: Any) -> None:
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess_metrics.mark_process_dead(worker.pid)
