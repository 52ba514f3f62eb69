"""Parses subjects that can be blocked or allowed, and converts them to one normal form."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from security.models import ApiToken, SubjectKind

Address = IPv4Address | IPv6Address
# Shorter prefixes cover too much of the Internet; a single IPv6 host can use any address within a /64.
IPV4_PREFIXES = range(8, 33)
IPV6_PREFIXES = (*range(16, 65), 128)


@dataclass(frozen=True, slots=True)
class Subject:
    """`value` is an address, a network, or the number of an account or token; `name` is for people."""

    kind: str
    value: str
    name: str = ""

    def covers(self, address: str | None) -> bool:
        """True if the subject is an address or network that contains `address`."""
        if address is None or self.kind not in (SubjectKind.ADDRESS, SubjectKind.NETWORK):
            return False
        return ip_address(address) in ip_network(self.value)


def parse(kind: str, written: str) -> Subject:
    """Return the subject. Raises ValidationError for `value`."""
    word = written.strip()[:200]
    if kind in (SubjectKind.ADDRESS, SubjectKind.NETWORK):
        return _of_network(word)
    if kind == SubjectKind.ACCOUNT:
        user = User.objects.filter(username=word).first() if "\x00" not in word else None
        if user is None:
            raise _wrong("There is no account with that name.")
        return Subject(kind, str(user.pk), user.get_username())
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 19 else 0
    token = ApiToken.objects.filter(pk=number).first()
    if kind != SubjectKind.TOKEN or token is None:
        raise _wrong("There is no token with that id. The list of tokens shows the ids.")
    return Subject(kind, str(token.pk), token.name)


def _of_network(word: str) -> Subject:
    """Return an address or a network; a network with a single address becomes that address."""
    try:
        if "%" in word:
            raise ValueError("an address zone is valid on one machine only")
        network = ip_network(word, strict=False)
    except ValueError as error:
        raise _wrong(
            f"{word[:60]!r} is not an address or network. Write 192.0.2.7 or 192.0.2.0/24."
        ) from error
    if (
        mapped := getattr(network.network_address, "ipv4_mapped", None)
    ) and network.prefixlen >= 96:
        network = ip_network((mapped, network.prefixlen - 96))
    allowed = IPV4_PREFIXES if network.version == 4 else IPV6_PREFIXES
    if network.prefixlen not in allowed:
        spans = "/8 to /32" if network.version == 4 else "/16 to /64, or one address"
        raise _wrong(f"{network} has a prefix that cannot be blocked or allowed. Use {spans}.")
    if network.prefixlen == network.max_prefixlen:
        return Subject(SubjectKind.ADDRESS, str(network.network_address))
    return Subject(SubjectKind.NETWORK, str(network))


def _wrong(sentence: str) -> ValidationError:
    return ValidationError({"value": sentence})


def hits_proxy(subject: Subject) -> bool:
    """True when it covers a trusted proxy, which all visitors may come through."""
    if subject.kind not in (SubjectKind.ADDRESS, SubjectKind.NETWORK):
        return False
    wanted = ip_network(subject.value)
    return any(
        wanted.version == proxy.version and wanted.overlaps(proxy)
        for proxy in settings.TRUSTED_PROXIES
    )


def fields_of(address: str) -> list[str]:
    """Return the hash fields for blocks and allow-list entries of this address and its networks."""
    parsed = ip_address(address)
    number, bits = int(parsed), parsed.max_prefixlen
    prefixes = IPV4_PREFIXES if parsed.version == 4 else IPV6_PREFIXES
    return [f"{parsed.version}:{number >> (bits - length):x}/{length}" for length in prefixes]


def field_of(kind: str, value: str) -> str:
    """Return the hash field for a subject."""
    if kind in (SubjectKind.ADDRESS, SubjectKind.NETWORK):
        network = ip_network(value)
        shifted = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        return f"{network.version}:{shifted:x}/{network.prefixlen}"
    return f"{kind}:{value}"


def networks_around(subject: Subject) -> list[str]:
    """Return the address or network and all wider networks that contain it, in normal form."""
    inner = ip_network(subject.value)
    prefixes = IPV4_PREFIXES if inner.version == 4 else IPV6_PREFIXES
    wider = [inner.supernet(new_prefix=length) for length in prefixes if length <= inner.prefixlen]
    return [subject.value, *map(str, wider)]
