"""Fixtures of the tests of the trail."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.factories import make_user, sign_in


@pytest.fixture
def auditor(client: Client) -> User:
    """Whoever `client` is signed in as: an account that holds the role auditor and no more."""
    user = make_user(is_superuser=False)
    user.groups.add(Group.objects.get(name="auditor"))
    return sign_in(client, user)
