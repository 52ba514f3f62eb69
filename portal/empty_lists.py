"""What a list says while it holds nothing: what would stand there, and where it comes from."""

NOTHING = ("Nothing here yet", "")

# Model: (heading, sentence). Lists that open with a filter speak of what the filter shows.
SENTENCES: dict[str, tuple[str, str]] = {
    "alerts.Alert": (
        "No open alert",
        "What Alertmanager and the portal itself report stands here while it is open. Whether they can be seen now,"
        " the dashboard tells.",
    ),
    "alerts.Silence": (
        "No silence is active",
        "A silence is made on the page of an alert, or in Alertmanager, and stands here until it ends.",
    ),
    "alerts.Notification": (
        "No message yet",
        "Each message to a channel stands here with its reason, and so does each that was withheld. It takes a channel"
        " and a route.",
    ),
    "alerts.Channel": (
        "No channel yet",
        "A channel is where messages go: mail, Slack, Opsgenie and many more. Add one, then a route that leads to it.",
    ),
    "alerts.Route": (
        "No route yet",
        "A route says which alerts go to which channels. Without one, nobody is told.",
    ),
    "monitoring.ErrorIssue": (
        "No error is known",
        "Issues of Sentry and GlitchTip stand here once one of them is connected under Upstreams.",
    ),
    "core.Service": (
        "No service yet",
        "Services are found from the scrape jobs of Prometheus, or added here.",
    ),
    "monitoring.Check": (
        "No check yet",
        "A check asks a service from outside, by HTTP, TCP, TLS certificate or PromQL, and raises an alert.",
    ),
    "monitoring.Target": (
        "No target is known",
        "What Prometheus scrapes stands here once a Prometheus is connected under Upstreams.",
    ),
    "monitoring.Deploy": (
        "No deploy yet",
        "A pipeline reports each deploy with POST /api/v1/deploys/. The page of a service has the lines to copy.",
    ),
    "monitoring.Panel": (
        "No chart yet",
        "A chart is a PromQL expression; those on the dashboard are drawn live.",
    ),
    "monitoring.Rule": (
        "No alert rule yet",
        "A rule is a PromQL expression that fires an alert while it returns something. Prometheus evaluates it.",
    ),
    "monitoring.ScrapeTarget": (
        "No scrape target yet",
        "Prometheus reads these addresses from the portal: what is added here is scraped within half a minute.",
    ),
    "monitoring.SavedSearch": (
        "No search is kept",
        "A search of the logs can be kept under a name, for oneself or for everybody.",
    ),
    "core.Upstream": (
        "No upstream yet",
        "An upstream is a server the portal asks: Prometheus, Alertmanager, Sentry, Elasticsearch or CrowdSec.",
    ),
    "security.Flag": (
        "No flag is open",
        "Detection rules read the audit trail and raise a flag when something looks like an attack.",
    ),
    "security.Block": (
        "Nothing is blocked",
        "An address, network, account or token can be refused for a while, by hand or by a detection rule.",
    ),
    "security.AllowEntry": (
        "The allow-list is empty",
        "What stands here is never blocked. Put your own networks here before rules may block by themselves.",
    ),
    "security.RuleSetting": ("No detection rule", "manage.py prepare writes them."),
    "security.SiemDestination": (
        "The audit trail is not forwarded",
        "A destination is a syslog receiver or an HTTPS collector that gets each entry of the audit trail.",
    ),
    "security.ApiToken": (
        "No API token yet",
        "Programs sign in with a token, which scopes, networks and a date limit.",
    ),
    "security.TotpDevice": (
        "No authenticator app is set up",
        "Each account sets one up when it first signs in.",
    ),
    "audit.AuditEntry": (
        "No entry",
        "Whatever is changed, refused or signed in to is recorded here and stays.",
    ),
    "audit.SavedFilter": (
        "No filter is kept",
        "A filter of the audit trail can be kept under a name; it then stands above the trail.",
    ),
    "audit.ExportRecord": (
        "No export yet",
        "Exports are asked for above the audit trail. Each stands here with its filter and its SHA-256.",
    ),
}
