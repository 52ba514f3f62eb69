"""Builds the API under /api/v1/: one router over the routes that each app declares."""

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.routers import SimpleRouter

from alerts import api as alerts_api
from alerts import notification_api
from alerts.analytics_api import AlertAnalyticsView
from audit import api as audit_api
from audit import api_filters
from monitoring import api as monitoring_api
from monitoring import api_checks, api_logs, api_panels, api_services, api_traffic
from monitoring.discovery import api as discovery_api
from monitoring.errors import api as errors_api
from monitoring.logs import api as searches_api
from monitoring.rules import api as rules_api
from portal import exports_api
from portal.core import problems
from portal.dashboard_api import DashboardView
from portal.discovery import PrometheusDiscoveryView
from portal.docs import DocsView, SchemaView
from portal.doctor_api import DoctorView
from portal.timeline_api import ServiceTimelineView, TimelineView
from security import api as security_api
from security import api_allow_list, api_blocks, api_flags, api_replay, api_siem

router = SimpleRouter()
MODULES = (
    alerts_api,
    notification_api,
    audit_api,
    api_filters,
    exports_api,
    monitoring_api,
    api_services,
    api_checks,
    api_panels,
    errors_api,
    searches_api,
    discovery_api,
    rules_api,
    security_api,
    api_flags,
    api_blocks,
    api_allow_list,
    api_siem,
)
for module in MODULES:
    for prefix, viewset, basename in module.ROUTES:
        router.register(prefix, viewset, basename)


@csrf_exempt  # the view changes nothing
def unknown_path(request: HttpRequest) -> HttpResponse:
    """Answer an unknown path with a problem instead of an HTML page."""
    detail = "There is no endpoint with this path. /api/v1/docs/ lists all endpoints; paths end in a slash."
    return problems.response("Not found", 404, detail, "not_found")


urlpatterns = [
    path(
        "hooks/alertmanager/<slug:upstream>/",
        alerts_api.AlertmanagerHookView.as_view(),
        name="hook-alertmanager",
    ),
    path("doctor/", DoctorView.as_view(), name="doctor"),
    path("dashboard/", DashboardView.as_view(), name="dashboard"),
    path("detections/replay/", api_replay.ReplayView.as_view(), name="detection-replay"),
    path("timeline/", TimelineView.as_view(), name="timeline"),
    path("services/<slug:slug>/timeline/", ServiceTimelineView.as_view(), name="service-timeline"),
    path("alerts/analytics/", AlertAnalyticsView.as_view(), name="alert-analytics"),
    path("analytics/routes/", api_traffic.TrafficView.as_view(), name="analytics-routes"),
    path("analytics/consumers/", api_traffic.ConsumersView.as_view(), name="analytics-consumers"),
    path("discovery/prometheus/", PrometheusDiscoveryView.as_view(), name="discovery-prometheus"),
    path("logs/search/", api_logs.LogSearchView.as_view(), name="logs-search"),
    path("metrics/query_range/", api_panels.QueryRangeView.as_view(), name="query-range"),
    path("schema/", SchemaView.as_view(api_version="v1"), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    *router.urls,
    re_path("", unknown_path),
]
