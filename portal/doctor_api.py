"""`POST /api/v1/doctor/`: examine everything now."""

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
    thing = serializers.CharField()
    level = serializers.ChoiceField(choices=LEVELS)
    sentence = serializers.CharField(help_text="The state, or what is wrong.")
    cure = serializers.CharField(
        help_text="What to do; empty if the sentence says it, or nothing is wrong."
    )


class ExaminationSerializer(serializers.Serializer[Any]):
    worst = serializers.ChoiceField(choices=LEVELS)
    findings = ExaminedSerializer(many=True)


class DoctorView(APIView):
    """Every connection and queue, with fault and cure."""

    write_scope = "monitoring:write"

    @extend_schema(request=None, responses=ExaminationSerializer)
    def post(self, request: Request) -> Response:
        """Ask every server now; it takes some seconds when one does not answer."""
        findings = examine()
        return Response(
            ExaminationSerializer({"worst": worst(findings), "findings": findings}).data
        )
