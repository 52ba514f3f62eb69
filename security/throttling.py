"""Enforces the API's rate limits by token, account or address, which the gate has usually counted already."""

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from portal.core import request_context
from security import gate_answer, limits
from security.gate_answer import API_RULE

if TYPE_CHECKING:  # DRF imports this module while it imports its own views
    from rest_framework.views import APIView


class LimitsThrottle(BaseThrottle):
    """Allows each token, account or anonymous address 1200 requests a minute; views may set another limit."""

    rule = API_RULE
    key = ""
    seconds = 1

    def allow_request(self, request: Request, view: "APIView") -> bool:
        self.rule = getattr(view, "throttle_rule", API_RULE)
        decision = gate_answer.current()
        if decision is None or decision.wait is None:
            return self._count(request)
        if decision.is_first_refusal:
            limits.record_refusal(self.rule, "api")
        self.seconds = decision.wait
        return decision.wait == 0

    def _count(self, request: Request) -> bool:
        """Count here when the gate could not because Redis is down: each process then counts on its own."""
        context = request_context.current()
        user = request.user.pk if request.user and request.user.is_authenticated else None
        address = limits.network_key(context.source_ip)
        self.key = context.token_fp or (f"user:{user}" if user else f"address:{address}")
        try:
            limits.count(self.rule, "api", self.key)
        except limits.LimitedError as error:
            self.seconds = error.wait
            return False
        return True

    def wait(self) -> float:
        return float(self.seconds)
