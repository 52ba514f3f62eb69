"""Names each process's file of counters after host and process.

The library names it after the process alone. Containers count their processes alike: with a common
folder, web and worker would both write the file of process 7, and spoil each other's.
"""

import os
import socket

from prometheus_client import multiprocess, values

# The library takes the file's name apart at the underscores.
HOST = socket.gethostname().replace("_", "-")


def process_name(pid: int | None = None) -> str:
    return f"{HOST}-{os.getpid() if pid is None else pid}"


def share_folder_between_hosts() -> None:
    """Let metrics that are made from now on count in files of that name."""
    values.ValueClass = values.MultiProcessValue(process_name)  # type: ignore[no-untyped-call]


def forget(pid: int) -> None:
    """Remove the gauges of a process of this host that has ended; its counters stay in the sum."""
    multiprocess.mark_process_dead(process_name(pid))  # type: ignore[no-untyped-call]
