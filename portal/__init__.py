"""The roof: settings, URLs, the admin site, the API router, the dashboard and the commands."""

import os
import sys

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    # Before the first metric is made: each keeps the class of its value.
    from portal import multiprocess_metrics

    multiprocess_metrics.use_host_in_file_names()

__version__ = "0.1.0"

# redis-py imports OpenTelemetry wherever it is installed, 60 modules in each process. Where no
# endpoint asks for spans, it shall find none; this must come before anything imports redis.
if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_ENDPOINT{suffix}") for suffix in ("", "_FILE")):
    sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]
