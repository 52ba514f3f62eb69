"""Creates demonstration flags, blocks and an allow-list, in the networks reserved for documentation."""

from datetime import datetime, timedelta
from typing import Any

from audit.models import AuditEntry
from portal.core.models import Service
from security import gate_store
from security.models import AllowEntry, Block, Flag, FlagService, FlagStatus
from security.rules.engine import RULES

DEMO = "demo"
SECONDS = 7
SIGN_IN = ("auth.login_failed", "/admin/login/")
EVIDENCE = {
    "token_new_client": ("token.new_client", "/api/v1/audit/entries/"),
    "scanner": ("permission.denied", "/api/v1/checks/"),
    "mass_export": ("data.exported", "/api/v1/alerts/"),
}
# rule, subject kind, subject, name, score, sentence, minutes ago, status, services
FLAGS: tuple[tuple[str, str, str, str, int, str, int, str, tuple[str, ...]], ...] = (
    ("success_after_attack", "account", "0", "demo-2", 90,
     "demo-2 signed in from 198.51.100.23 after credential stuffing of which a flag is open.", 4, "open", ()),
    ("credential_stuffing", "address", "198.51.100.23", "", 86,
     "32 accounts tried from 198.51.100.23 within 15 min, at most 2 times each.", 11, "open", ()),
    ("token_new_client", "token", "0", "checkout", 70,
     "Token checkout was used from a new network and client: 203.0.113.9, curl.", 38, "open", ("checkout",)),
    ("brute_force_address", "address", "203.0.113.77", "", 64,
     "11 failed sign-ins from 203.0.113.77 within 120 s.", 95, "open", ()),
    ("scanner", "address", "192.0.2.201", "", 54,
     "18 refused requests from 192.0.2.201 within 44 s.", 170, "open", ("checkout",)),
    ("mass_export", "account", "0", "demo-5", 55, "demo-5 made 10 exports within 60 min.", 1500, "dismissed",
     ("basket", "catalogue", "checkout")),
    ("brute_force_address", "address", "203.0.113.40", "", 74,
     "21 failed sign-ins from 203.0.113.40 within 120 s.", 2900, "confirmed", ()),
    ("brute_force_account", "account", "0", "demo-1", 47,
     "12 failed sign-ins to demo-1 within 24 h, from 3 addresses.", 4400, "dismissed", ()),
)  # fmt: skip


def seed(*, now: datetime) -> dict[str, int]:
    """Replace earlier demonstration flags and blocks; return the numbers created."""
    Flag.objects.filter(counts__demo=1).delete()
    Block.objects.filter(created_by=DEMO).delete()
    AllowEntry.objects.filter(created_by=DEMO).delete()
    flags = [_flag(facts, _sample(facts[0]), now) for facts in FLAGS]
    Flag.objects.bulk_create(flags, ignore_conflicts=True)
    _name_services()
    blocks = [
        _block("address", "198.51.100.23", "Credential stuffing", "rule", now, hours=4),
        _block("network", "203.0.113.0/25", "Guessing from many addresses", "hand", now, hours=24),
        _block("address", "192.0.2.201", "Scanner", "crowdsec", now, hours=2),
        _block("address", "203.0.113.40", "Brute force", "rule", now, hours=-30),
    ]
    Block.objects.bulk_create(blocks)
    AllowEntry.objects.get_or_create(
        kind="network", value="192.0.2.0/28",
        defaults={"reason": "The office, behind one address", "created_by": DEMO},
    )  # fmt: skip
    gate_store.write_after_commit()
    return {"flags": len(flags), "blocks": len(blocks)}


def _sample(rule: str) -> list[AuditEntry]:
    """Return demonstration audit entries of the kind that the rule counts."""
    action, _path = EVIDENCE.get(rule, SIGN_IN)
    entries = AuditEntry.objects.filter(action=action, writer_id=DEMO)
    return list(entries.order_by("-recorded_at")[: 2 * SECONDS])


def _flag(facts: tuple[Any, ...], sample: list[AuditEntry], now: datetime) -> Flag:
    rule, kind, subject, name, score, sentence, minutes, status, slugs = facts
    last = now - timedelta(minutes=minutes)
    is_open, (_action, path) = status == FlagStatus.OPEN, EVIDENCE.get(rule, SIGN_IN)
    evidence = [
        {"id": entry.pk, "at": (last - timedelta(seconds=SECONDS * number)).isoformat(), "action": entry.action,
         "outcome": entry.outcome, "reason": entry.reason, "actor": "anonymous", "target": name,
         "address": subject if kind == "address" else "198.51.100.23", "path": path,
         "service": slugs[number % len(slugs)] if slugs else ""}
        for number, entry in enumerate(sample)
    ]  # fmt: skip
    return Flag(
        rule=rule, subject_kind=kind, subject=subject, subject_name=name, score=score, sentence=sentence,
        counts={"failures": len(evidence), "demo": 1}, evidence=evidence[::-1], status=status,
        first_at=last - timedelta(minutes=9), last_at=last, opened_at=last - timedelta(minutes=5),
        decided_at=None if is_open else last + timedelta(minutes=20), decided_by="" if is_open else "demo-3",
        decision_reason="" if is_open else f"{RULES[rule].title}: looked into, see the trail.",
    )  # fmt: skip


def _name_services() -> None:
    """Link each flag to its services, if they exist."""
    known = set(Service.objects.values_list("slug", flat=True))
    named = {facts[5]: known.intersection(facts[-1]) for facts in FLAGS}
    FlagService.objects.bulk_create(
        FlagService(flag=flag, slug=slug, opened_at=flag.opened_at)
        for flag in Flag.objects.filter(counts__demo=1)
        for slug in sorted(named.get(flag.sentence, ()))
    )


def _block(kind: str, value: str, reason: str, origin: str, now: datetime, *, hours: int) -> Block:
    """Return a block with `hours` left; with negative hours it has ended."""
    expires = now + timedelta(hours=hours)
    began = min(now, expires) - timedelta(minutes=20)
    return Block(
        kind=kind, value=value, reason=reason, origin=origin, created_by=DEMO, created_at=began, expires_at=expires,
        ended_at=expires if hours < 0 else None,
    )  # fmt: skip
