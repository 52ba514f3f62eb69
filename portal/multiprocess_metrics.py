"""Names the metric files of prometheus_client after host and process.

The library uses only the process id, which is not unique across containers: in a shared folder, web
and worker could both write the file of process 7 and corrupt each other's counters.
"""

import os
import socket

from prometheus_client import multiprocess, values

# The library splits file names at underscores.
HOST = socket.gethostname().replace("_", "-")


def process_name(pid: int | None = None) -> str:
    return f"{HOST}-{os.getpid() if pid is None else pid}"


def use_host_in_file_names() -> None:
    """Use such file names for all metrics created from now on."""
    values.ValueClass = values.MultiProcessValue(process_name)  # type: ignore[no-untyped-call]


def mark_process_dead(pid: int) -> None:
    """Remove the gauges of a process on this host that has ended; its counters remain in the sum."""
    multiprocess.mark_process_dead(process_name(pid))  # type: ignore[no-untyped-call]
