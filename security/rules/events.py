"""Defines an event: one audit entry, reduced to what the rules need."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address, ip_network


class Kind(Enum):
    """The kind of an event, as the rules distinguish them."""

    LOGIN_FAILED = "login failed"
    LOGIN_LIMITED = "login limited"
    LOGIN_SUCCEEDED = "login succeeded"
    CODE_FAILED = "code failed"
    TOKEN_CLIENT = "token from a new client"  # noqa: S105 - a name, not a secret
    EXPORTED = "exported"
    REFUSED = "request refused"
    SUSPICIOUS = "request suspicious"


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is Unix time. `account` is "user:7" for an account, "name:…" for an unknown user name."""

    id: int
    at: float
    kind: Kind
    address: str = ""
    account: str = ""
    name: str = ""  # of the account or token, for people
    token: str = ""
    client: str = ""
    status: int = 0
    path: str = ""
    signal: str = ""  # a kind of attack, or what is new about a token's client
    number: float = 0  # rows exported, or seconds since the token was used elsewhere
    service: str = ""  # the slug of the service that the entry names

    @property
    def is_known_account(self) -> bool:
        return self.account.startswith("user:")

    @property
    def source(self) -> str:
        """Return the address, or the /64 of an IPv6 address, because one host can use all addresses in it."""
        return source_of(self.address)


@lru_cache(maxsize=16_384)
def source_of(address: str) -> str:
    return _within(address, 64) if ":" in address else address


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """Return the /24 of an IPv4 address and the /64 of an IPv6 address, empty for anything else."""
    return _within(address, 64 if ":" in address else 24)


def _within(address: str, length: int) -> str:
    try:
        return str(ip_network((ip_address(address).packed, length), strict=False))
    except ValueError:
        return ""
