"""Setting up: the jail of a fresh account, one-time links, recovery codes, replacing and resetting."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from portal.core.logs import EcsFormatter, NoSecrets
from security import enrolment, factors, totp
from security.models import EnrolmentLink, RecoveryCode, TotpDevice
from tests.conftest import Trail
from tests.security.builders import (
    CODE,
    INDEX,
    LOGIN,
    actions,
    code_now,
    fresh_code,
    make_enrolled,
    make_user,
    password_step,
    signed_in,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "autocommit"])
ENROL, CODES, STEP_UP = "/admin/enrol/", "/admin/recovery-codes/", "/admin/step-up/"
NEW_PASSWORD = "a wholly different pass phrase"


def secret_on(page: Any) -> str:
    found = re.search(r'auth-secret">([A-Z2-7 ]+)<', page.content.decode())
    assert found
    return found[1].replace(" ", "")


def confirm(client: Client) -> Any:
    seed = secret_on(client.get(ENROL))
    return client.post(ENROL, {"code": code_now(seed)})


def jailed(**over: Any) -> Client:
    make_user(**over)
    client = Client()
    password_step(client)
    assert client.post(CODE, {"enrol": "1"})["Location"] == ENROL
    return client


def age_verification(client: Client, seconds: int) -> None:
    session = client.session
    session["portal_verified_at"] -= seconds
    session.save()


def test_a_fresh_account_enrols_and_is_verified(trail: Trail) -> None:
    client = jailed()
    before = client.session.session_key
    assert client.get(INDEX).status_code == 302
    answer = confirm(client)
    assert answer["Location"] == CODES
    page = client.get(CODES)
    assert "no-store" in page["Cache-Control"]
    codes = re.findall(r"<li><code>([A-Z2-7-]+)</code>", page.content.decode())
    assert len(codes) == 10
    assert codes[0] not in client.get(CODES).content.decode()
    assert codes[0] not in str(list(RecoveryCode.objects.values_list("code_hash", flat=True)))
    assert client.get(INDEX).status_code == 200
    assert client.session.session_key != before
    assert {"auth.session_created", "mfa.enrolled", "auth.login_succeeded"} <= set(actions(trail))


def test_the_page_has_a_drawing_and_no_inline_script() -> None:
    page = jailed().get(ENROL).content.decode()
    card = page[page.index("auth-card") : page.index("</main>")]
    assert "<svg viewBox=" in card  # with a fixed size the style sheet would crop the code
    assert "otpauth://totp/DevOps%20Portal:alice?secret=" in card
    assert "style=" not in card
    assert "<script" not in card


def test_a_wrong_code_enrols_nothing(trail: Trail) -> None:
    client = jailed()
    client.get(ENROL)
    assert 'role="alert"' in client.post(ENROL, {"code": "000000"}).content.decode()
    assert not TotpDevice.objects.exists()
    assert actions(trail)[-1] == "mfa.failed"


def test_the_jail_cannot_replace_a_factor_that_came_meanwhile() -> None:
    client = jailed()
    seed = secret_on(client.get(ENROL))
    TotpDevice.objects.create(
        user=User.objects.get(), name="app", confirmed=True, seed="JBSWY3DPEHPK3PXP"
    )
    page = client.post(ENROL, {"code": code_now(seed)}).content.decode()
    assert "already has an authenticator app" in page


def test_an_anonymous_visitor_finds_no_enrolment() -> None:
    assert Client().get(ENROL)["Location"] == LOGIN


def path_of(link: str) -> str:
    return urlsplit(link).path


def test_a_link_leads_from_nothing_to_a_verified_superuser(trail: Trail) -> None:
    link = enrolment.make_link("root", create=True, superuser=True)
    client, preview = Client(), Client()
    for _ in range(3):
        preview.get(path_of(link), follow=True)
    page = client.get(path_of(link), follow=True)
    assert link.rpartition("/")[0] not in page.content.decode()
    client.post("/admin/enrol/password/", {"password": NEW_PASSWORD, "again": NEW_PASSWORD})
    assert not User.objects.get().has_usable_password()
    assert confirm(client)["Location"] == CODES
    assert client.get(INDEX).status_code == 200
    user = User.objects.get()
    assert user.check_password(NEW_PASSWORD)
    assert user.is_superuser
    assert preview.get("/admin/enrol/password/").status_code == 410
    assert Client().get(path_of(link)).status_code == 410
    assert "password.changed" in actions(trail)


@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("short", "short", "too short"),
        ("password1234", "password1234", "too common"),
        (NEW_PASSWORD, NEW_PASSWORD + "x", "differ"),
    ],
)
def test_a_weak_or_mistyped_password_is_refused(password: str, again: str, says: str) -> None:
    client = Client()
    client.get(path_of(enrolment.make_link("root", create=True)))
    page = client.post("/admin/enrol/password/", {"password": password, "again": again})
    assert says in page.content.decode()
    assert client.get(ENROL)["Location"] == LOGIN


def test_a_link_expires_and_a_new_one_ends_the_old() -> None:
    first = enrolment.make_link("root", create=True)
    second = enrolment.make_link("root")
    assert Client().get(path_of(first)).status_code == 410
    assert Client().get(path_of(second)).status_code == 302
    EnrolmentLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(path_of(second)).status_code == 410


def test_a_link_lives_for_fifteen_minutes_and_two_who_opened_it_use_it_once() -> None:
    enrolment.make_link("root", create=True)
    link, seed = EnrolmentLink.objects.get(), totp.new_seed()
    left = link.expires_at - timezone.now()
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    opened = enrolment.Candidate(link.user, may_replace=True, link_id=link.pk, password_hash="!")
    enrolment.complete(opened, seed, code_now(seed), keep=None)
    with pytest.raises(enrolment.EnrolmentError, match="has been used"):
        enrolment.complete(opened, seed, code_now(seed), keep=None)


def test_only_the_hash_of_a_link_is_kept_and_the_trail_redacts_it(trail: Trail) -> None:
    token = path_of(enrolment.make_link("root", create=True)).rstrip("/").rpartition("/")[2]
    assert token not in str(list(EnrolmentLink.objects.values()))
    Client().get(f"/admin/enrol/link/{token}/")
    assert token not in str([vars(entry) for entry in trail()])


def test_no_line_of_the_log_holds_a_link(caplog: pytest.LogCaptureFixture) -> None:
    used, token = (
        path_of(enrolment.make_link("root", create=True)).rstrip("/").rpartition("/")[2]
        for _ in range(2)
    )
    caplog.handler.addFilter(NoSecrets())
    caplog.handler.setFormatter(EcsFormatter())
    with caplog.at_level("INFO"):
        assert Client().get(f"/admin/enrol/link/{used}/").status_code == 410
        assert Client().get(f"/admin/enrol/link/{token}/").status_code == 302
    assert (
        caplog.text.count("/admin/enrol/link/[redacted]/") >= 3
    )  # the path twice, Django's own line
    assert token not in caplog.text
    assert used not in caplog.text


def test_the_command_explains_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="Add --create"):
        call_command("enrol_link", "ghost")
    call_command("enrol_link", "ghost", "--create", "--superuser")
    assert re.fullmatch(r"http\S+/admin/enrol/link/dop_enrol_\w{32}/\n", capsys.readouterr().out)


def test_new_recovery_codes_need_a_fresh_code(trail: Trail) -> None:
    user = make_enrolled()
    old = factors.replace_recovery_codes(user.pk)
    client = signed_in(user)
    age_verification(client, 601)
    assert client.post(CODES)["Location"].startswith(STEP_UP)
    client.post(STEP_UP, {"code": fresh_code(user)})
    assert client.post(CODES)["Location"] == CODES
    assert client.get(CODES).content.decode().count("<li><code>") == 10
    assert factors.spend_recovery_code(user.pk, old[0]) is None
    assert "mfa.recovery_codes_regenerated" in actions(trail)


def test_replacing_the_app_needs_a_fresh_code_and_ends_other_sessions(trail: Trail) -> None:
    user = make_enrolled()
    client, other = signed_in(user), signed_in(user)
    age_verification(client, 601)
    assert client.get(ENROL)["Location"].startswith(STEP_UP)
    client.post(STEP_UP, {"code": fresh_code(user)})
    assert confirm(client)["Location"] == CODES
    assert other.get(INDEX).status_code == 302
    assert client.get(INDEX).status_code == 200
    assert TotpDevice.objects.filter(user=user).count() == 1
    assert {"mfa.removed", "mfa.enrolled", "auth.session_revoked"} <= set(actions(trail))


def test_an_administrator_resets_others_but_not_oneself(trail: Trail) -> None:
    root, other = make_enrolled("root"), make_enrolled("other")
    admin, victim = signed_in(root), signed_in(other)
    for owner, remains in ((root, True), (other, False)):
        device = TotpDevice.objects.get(user=owner)
        data = {"action": "reset", "_selected_action": [device.pk]}
        admin.post("/admin/security/totpdevice/", data)
        assert TotpDevice.objects.filter(pk=device.pk).exists() is remains
    assert victim.get(INDEX).status_code == 302
    assert victim.get(ENROL)["Location"] == LOGIN
    assert actions(trail).count("mfa.reset_by_admin") == 1
