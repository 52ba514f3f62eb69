"""Renders code that connects an application to the portal, with the names of a service filled in.

The tests run exactly what the page shows: one file per snippet under templates/snippets/.
"""

import json
from dataclasses import dataclass

from django.conf import settings
from django.template import Context, Engine

from portal.core.embedded.places import BASE_DIR
from portal.core.models import Service

NO_TOKEN = "<create a token on this page>"  # noqa: S105 - says that there is none
_engine = Engine(dirs=[str(BASE_DIR / "templates" / "snippets")], autoescape=False)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A file to copy. `name` is its path under templates/snippets/, without the suffix .tmpl."""

    name: str
    title: str
    purpose: str

    @property
    def file(self) -> str:
        return self.name.rpartition("/")[2]


ENVIRONMENT = Snippet("environment.env", "Environment", "The variables that the files below read.")
DEPLOY = Snippet("deploy.sh", "Deploy marker", "Reported by the pipeline, drawn on every chart.")
LANGUAGES: dict[str, tuple[Snippet, ...]] = {
    "Node.js": (
        Snippet("node/traces.js", "Traces", "OpenTelemetry, sent by OTLP. Loaded first."),
        Snippet("node/errors.js", "Errors", "Crashes and errors to Sentry."),
        Snippet("node/metrics.js", "Metrics", "Scraped by Prometheus; shown in API analytics."),
        Snippet("node/audit.js", "Audit", "Who did what, into the audit trail."),
        Snippet("node/logs.js", "Logs", "ECS JSON lines with trace ids."),
    ),
    "Python": (
        Snippet("python/traces.py", "Traces", "OpenTelemetry, sent by OTLP."),
        Snippet("python/errors.py", "Errors", "Errors to Sentry."),
        Snippet("python/metrics.py", "Metrics", "Scraped by Prometheus; shown in API analytics."),
        Snippet("python/audit.py", "Audit", "Who did what, into the audit trail."),
        Snippet("python/logs.py", "Logs", "ECS JSON lines."),
    ),
}


def render(snippet: Snippet, service: Service, *, token: str = NO_TOKEN) -> str:
    """Return the text of a snippet for `service`; names become literals of its language."""
    literal = json.dumps(service.slug)  # for a slug, also valid in JavaScript and Python
    facts = {
        "service": literal,
        "service_in_shell": literal.replace('"', '\\"'),
        "portal_url": settings.PORTAL_URL,
        "token": token,
        "sentry_dsn": "",
        "otlp": settings.OTEL_EXPORTER_OTLP_ENDPOINT,
    }
    return _engine.get_template(f"{snippet.name}.tmpl").render(Context(facts, autoescape=False))
