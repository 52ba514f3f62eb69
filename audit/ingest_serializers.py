"""What another application may tell: the fields of an entry, bounded, with a sentence per mistake."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from audit.filters import parse_address
from audit.models import Outcome

MAX_ENTRIES = 1000
ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*|")
COUNTRY = re.compile(r"[A-Z]{2}|")
TRACE = re.compile(r"[0-9a-f]{32}|")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
ACTOR_TYPES = [(name, name) for name in ("user", "token", "service", "system", "anonymous")]
STATUSES = [(word, word) for word in ("created", "duplicate", "refused")]


class ObjectField(serializers.DictField):
    """A JSON object, taken as it is: `record` bounds and redacts it."""

    def to_internal_value(self, data: Any) -> dict[Any, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(["This must be a JSON object."])
        return data


class AddressField(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if address := parse_address(super().to_internal_value(data)):
            return address
        raise serializers.ValidationError(["This is not an IPv4 or IPv6 address."])


def _text(limit: int) -> Any:
    return serializers.CharField(max_length=limit, default="", allow_blank=True)


class NewEntrySerializer(serializers.Serializer[Any]):
    """An audit entry of another application. Only `action` is required; unknown fields are ignored."""

    uid = serializers.UUIDField(
        required=False,
        help_text="Idempotency key, preferably a UUIDv7: an entry with a known `uid` is not written again.",
    )
    action = serializers.CharField(
        max_length=100,
        help_text="Name of the action as `object.verb_past` in lower case, for example `invoice.deleted`.",
    )
    code = serializers.CharField(
        max_length=32,
        default="",
        allow_blank=True,
        help_text="The application's own code for the action, for example `INV-1042`.",
    )
    occurred_at = serializers.DateTimeField(
        required=False, help_text="Time of the action. Default: now."
    )
    outcome = serializers.ChoiceField(choices=Outcome.choices, default=Outcome.SUCCESS)
    reason = _text(1000)
    severity = serializers.IntegerField(
        min_value=1,
        max_value=6,
        required=False,
        help_text="1 (informational) to 6 (fatal), as in OCSF.",
    )
    actor_type = serializers.ChoiceField(choices=ACTOR_TYPES, default="service")
    actor_id = _text(200)
    actor_name = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="Default: the application that sends the entry.",
    )
    actor_roles = serializers.ListField(
        child=serializers.CharField(max_length=150), max_length=50, default=list
    )
    impersonator_id = _text(200)
    impersonator_name = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="Name of the account that acted as the actor.",
    )
    auth_method = _text(40)
    source_ip = AddressField(
        max_length=60,
        required=False,
        allow_null=True,
        help_text="IPv4 or IPv6 address of the client.",
    )
    geo_country = serializers.CharField(
        max_length=2,
        default="",
        allow_blank=True,
        help_text="Country of `source_ip`, ISO 3166-1 alpha-2. Default: looked up by the portal.",
    )
    asn = serializers.IntegerField(
        min_value=1,
        max_value=2**32 - 1,
        required=False,
        allow_null=True,
        help_text="Autonomous system number of `source_ip`. Default: looked up by the portal.",
    )
    user_agent = _text(512)
    http_method = _text(16)
    url_path = _text(1024)
    http_status = serializers.IntegerField(min_value=100, max_value=599, required=False)
    request_id = _text(64)
    trace_id = _text(32)
    target_type = _text(100)
    target_id = _text(200)
    target_name = _text(300)
    changes = ObjectField(default=dict, help_text="Changed fields as `{field: [old, new]}`.")
    data = ObjectField(default=dict, help_text="Further details.")  # type: ignore[assignment]

    def validate_action(self, action: str) -> str:
        if not ACTION.fullmatch(action):
            raise serializers.ValidationError(
                "Write the action as object.verb_past in lower case, for example invoice.deleted."
            )
        return action

    def validate_code(self, code: str) -> str:
        if not CODE.fullmatch(code):
            raise serializers.ValidationError(
                "A code consists of letters, digits, dots, colons and dashes, for example INV-1042."
            )
        return code

    def validate_geo_country(self, country: str) -> str:
        if not COUNTRY.fullmatch(country):
            raise serializers.ValidationError(
                "A country is an ISO code of two capital letters, for example DE."
            )
        return country

    def validate_trace_id(self, trace_id: str) -> str:
        if not TRACE.fullmatch(trace_id):
            raise serializers.ValidationError("A trace id has 32 hexadecimal digits in lower case.")
        return trace_id

    def validate_occurred_at(self, moment: datetime) -> datetime:
        if not EARLIEST <= moment <= timezone.now() + AHEAD:
            raise serializers.ValidationError(
                "This time is before the year 2000 or more than a day in the future. Check the sender's clock."
            )
        return moment

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        optional: dict[str, Any] = dict.fromkeys(
            ("occurred_at", "severity", "source_ip", "asn", "http_status")
        )
        return {**optional, **given}


class IngestResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Position in the request, starting at 0.")
    uid = serializers.CharField(
        allow_null=True, help_text="The `uid` of the entry; null if a refused item has none."
    )
    status = serializers.ChoiceField(choices=STATUSES)
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Error messages by field; only for refused items.",
    )


class IngestReportSerializer(serializers.Serializer[Any]):
    created = serializers.IntegerField(help_text="Number of entries written.")
    duplicate = serializers.IntegerField(help_text="Number of entries whose `uid` was known.")
    refused = serializers.IntegerField(help_text="Number of invalid entries.")
    results = IngestResultSerializer(many=True)
