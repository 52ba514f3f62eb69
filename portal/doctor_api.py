"""`POST /api/v1/doctor/`: the checks of `manage.py doctor`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.doctor.examination import examine, worst
from portal.doctor.findings import Level

LEVELS = [(level.value, level.value) for level in Level]


class ExaminedSerializer(serializers.Serializer[Any]):
    thing = serializers.CharField(help_text="What was checked.")
    level = serializers.ChoiceField(choices=LEVELS)
    sentence = serializers.CharField(help_text="Result of the check.")
    cure = serializers.CharField(help_text="How to fix the problem; may be empty.")


class ExaminationSerializer(serializers.Serializer[Any]):
    worst = serializers.ChoiceField(choices=LEVELS)
    findings = ExaminedSerializer(many=True)


class DoctorView(APIView):
    """Checks of all connections and queues."""

    write_scope = "monitoring:write"

    @extend_schema(request=None, responses=ExaminationSerializer)
    def post(self, request: Request) -> Response:
        """Run all health checks. Takes several seconds if a server does not respond."""
        findings = examine()
        return Response(
            ExaminationSerializer({"worst": worst(findings), "findings": findings}).data
        )
