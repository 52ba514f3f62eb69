"""The API of saved queries: users see shared ones and their own, and change only their own.

Base class for filters of the audit trail and for log searches; audit/admin_saved_queries.py is the admin.
"""

from typing import Any

from django.db.models import QuerySet
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet


class SavedQueryViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """`service` is the module whose `save` and `delete` write the rows."""

    service: Any
    filterset_class = None
    lookup_value_regex = r"\d{1,18}"
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset().model.objects.visible_to(self.request.user)
        found: QuerySet[Any] = rows.select_related("owner")
        return found

    def create(self, request: Request) -> Response:
        """Save a query under a name. The name must be unique for your account."""
        saved = self._save(request, self.get_queryset().model())
        return Response(self.get_serializer(saved).data, status=status.HTTP_201_CREATED)

    def update(self, request: Request, pk: str | None = None) -> Response:
        """Replace one of your own saved queries."""
        return Response(self.get_serializer(self._save(request, self.get_object())).data)

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete one of your own saved queries."""
        self.service.delete(self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _save(self, request: Request, saved: Any) -> Any:
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts: dict[str, Any] = {"shared": False, **given.validated_data}
        return self.service.save(saved, actor=request.user, **facts)
