"""Limits when Redis is away, and the signed cookie of a known browser."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from portal.core import ratelimit
from security import limits


def test_without_redis_each_process_goes_on_counting(settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"
    answers = [ratelimit.allow("3/minute", "without-redis", "key") for _ in range(5)]
    assert answers == [True] * 3 + [False] * 2
    assert ratelimit.retry_after_seconds("3/minute", "without-redis", "key") > 1


def known_to(request: Any, username: str) -> bool:
    return bool(limits._known_browser(request, limits.account_key(username)))


def test_a_browser_is_known_to_the_account_it_signed_in_to_only(rf: RequestFactory) -> None:
    request, response = rf.get("/admin/login/"), HttpResponse()
    limits.remember_browser(request, response, "alice")
    cookie = response.cookies[limits.DEVICE_COOKIE]
    assert cookie["httponly"]
    assert "alice" not in cookie.value
    request.COOKIES[limits.DEVICE_COOKIE] = cookie.value
    assert known_to(request, "Alice")
    assert not known_to(request, "bob")


@pytest.mark.parametrize("value", ["", "x", "a:b:c", "\x00", "é" * 5000])
def test_a_forged_cookie_is_worth_nothing(rf: RequestFactory, value: str) -> None:
    request = rf.get("/admin/login/")
    request.COOKIES[limits.DEVICE_COOKIE] = value
    assert not known_to(request, "alice")
