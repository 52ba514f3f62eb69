"""Texts for empty admin lists: what would be listed, and where it comes from."""

NOTHING = ("Nothing here yet", "")

# Model: (heading, sentence). For lists that open with a filter, the text describes the filtered list.
SENTENCES: dict[str, tuple[str, str]] = {
    "alerts.Alert": (
        "No open alert",
        "Open alerts from Alertmanager and from the portal itself appear here. The dashboard shows whether they can"
        " be seen at the moment.",
    ),
    "alerts.Silence": (
        "No silence is active",
        "Silences are created on the page of an alert, or in Alertmanager, and are listed here until they end.",
    ),
    "alerts.Notification": (
        "No message yet",
        "Each message to a channel is listed here with its reason, and so is each that was withheld. Messages need a"
        " channel and a route.",
    ),
    "alerts.Channel": (
        "No channel yet",
        "A channel is where messages go: e-mail, Slack, Opsgenie and many more. Add one, then a route that uses it.",
    ),
    "alerts.Route": (
        "No route yet",
        "A route defines which alerts go to which channels. Without one, nobody is notified.",
    ),
    "monitoring.ErrorIssue": (
        "No errors yet",
        "Issues from Sentry and GlitchTip appear here once one of them is connected under Upstreams.",
    ),
    "core.Service": (
        "No service yet",
        "Services are discovered from the scrape jobs of Prometheus, or added here.",
    ),
    "monitoring.Check": (
        "No check yet",
        "A check probes a service by HTTP, TCP, TLS certificate or PromQL, and raises an alert when it fails.",
    ),
    "monitoring.Target": (
        "No target yet",
        "The scrape targets of Prometheus appear here once one is connected under Upstreams.",
    ),
    "monitoring.Deploy": (
        "No deploy yet",
        "Pipelines report deploys with POST /api/v1/deploys/. The page of a service has a snippet to copy.",
    ),
    "monitoring.Panel": (
        "No chart yet",
        "A chart is a PromQL expression; charts on the dashboard are updated live.",
    ),
    "monitoring.Rule": (
        "No alert rule yet",
        "A rule is a PromQL expression that fires an alert while it returns results. Prometheus evaluates it.",
    ),
    "monitoring.ScrapeTarget": (
        "No scrape target yet",
        "Prometheus reads these addresses from the portal: targets added here are scraped within half a minute.",
    ),
    "monitoring.SavedSearch": (
        "No saved search",
        "A log search can be saved under a name, for yourself or for everybody.",
    ),
    "core.Upstream": (
        "No upstream yet",
        "An upstream is a server the portal reads from: Prometheus, Alertmanager, Sentry, Elasticsearch or CrowdSec.",
    ),
    "security.Flag": (
        "No flag is open",
        "Detection rules read the audit trail and raise a flag when something looks like an attack.",
    ),
    "security.Block": (
        "Nothing is blocked",
        "An address, network, account or token can be blocked for a time, by hand or by a detection rule.",
    ),
    "security.AllowEntry": (
        "The allow-list is empty",
        "Entries in this list are never blocked. Add your own networks before you let rules block automatically.",
    ),
    "security.RuleSetting": ("No detection rule", "Run manage.py prepare to create them."),
    "security.SiemDestination": (
        "The audit trail is not forwarded",
        "A destination is a syslog receiver or an HTTPS collector that receives each entry of the audit trail.",
    ),
    "security.ApiToken": (
        "No API token yet",
        "Programs authenticate with a token, which is limited by scopes, networks and an expiry.",
    ),
    "security.TotpDevice": (
        "No authenticator app is set up",
        "Each account sets one up when it first signs in.",
    ),
    "audit.AuditEntry": (
        "No entry",
        "Every change, rejected request and sign-in is recorded here permanently.",
    ),
    "audit.SavedFilter": (
        "No saved filter",
        "A filter of the audit trail can be saved under a name; it is then listed above the trail.",
    ),
    "audit.ExportRecord": (
        "No export yet",
        "Create exports above the audit trail. Each is listed here with its filter and its SHA-256.",
    ),
}
