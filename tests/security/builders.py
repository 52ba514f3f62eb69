"""Accounts, factors and browsers for the tests of security."""

import time
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from security import factors, totp
from security.models import TotpDevice

PASSWORD = "correct horse battery staple"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
# What the page of the rule mass_export posts, with one threshold that differs from its default.
RULE_FORM = {
    "enabled": "on", "block_minutes": 0, "exports": 3, "rows": 500_000, "minutes": 60, "days": "1d",
}  # fmt: skip
LOGIN, CODE, INDEX = "/admin/login/", "/admin/login/code/", "/admin/"


def make_user(name: str = "alice", **over: Any) -> User:
    facts = {"is_staff": True, "is_superuser": True, **over}
    return User.objects.create_user(name, password=PASSWORD, **facts)


def make_enrolled(name: str = "alice", **over: Any) -> User:
    user = make_user(name, **over)
    TotpDevice.objects.create(user=user, name="app", confirmed=True, seed=SEED)
    return user


def code_now(seed: str = SEED) -> str:
    return totp.code_at(seed, totp.step_at(time.time()))


def fresh_code(user: User, seed: str = SEED) -> str:
    """Return the code of now, also when an earlier one of this half minute was spent."""
    TotpDevice.objects.filter(user=user).update(last_step=0)
    return code_now(seed)


def password_step(client: Client, name: str = "alice", password: str = PASSWORD) -> Any:
    return client.post(LOGIN, {"username": name, "password": password})


def sign_in(client: Client, user: User) -> Any:
    """Go through both doors as a browser does."""
    password_step(client, user.get_username())
    return client.post(CODE, {"code": fresh_code(user)})


def signed_in(user: User) -> Client:
    client = Client()
    assert sign_in(client, user).status_code == 302
    return client


def make_recovery_codes(user: User) -> list[str]:
    return factors.replace_recovery_codes(user.pk)


def actions(trail: Any) -> list[str]:
    return [entry.action for entry in trail()]
