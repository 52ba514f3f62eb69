"""The top layer: settings, URLs, the admin site, the API router, the dashboard and the commands."""

import os
import sys

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    # Must run before the first metric is created, because a metric keeps its value class.
    from portal import multiprocess_metrics

    multiprocess_metrics.use_host_in_file_names()

__version__ = "0.1.0"

# redis-py imports OpenTelemetry if it is installed, which is 60 modules in each process. Without an
# endpoint for spans, hide it from redis-py; this must run before anything imports redis.
if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_ENDPOINT{suffix}") for suffix in ("", "_FILE")):
    sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]
