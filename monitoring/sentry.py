"""Client of Sentry's web API, of Sentry itself and of GlitchTip: the calls the portal needs.

https://docs.sentry.io/api/ . A token needs org:read, project:read and event:read; event:write as
well to resolve, ignore and assign.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from monitoring.errors import payloads
from monitoring.errors.links import next_query
from monitoring.errors.payloads import Changed, Listed, PayloadError
from portal.core.connect import client_for
from portal.core.http import Client, Fault, Reply, UpstreamError, not_json
from portal.core.models import Upstream
from portal.core.retry import reset_at
from portal.core.validators import SLUG

PAGE_SIZE = 100
TIMEOUT_SECONDS = 30.0
API = "/api/0"
# "Latest event first" in Sentry's notation, then in GlitchTip's, which rejects Sentry's.
NOTHING: Mapping[bytes, str] = {}
SORTS = ("date", "-last_seen")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list. `next_query` is None on the last one.

    `pause_until` is set when the rate limit is used up: send no request before that time.
    """

    issues: list[Listed]
    same: list[str]
    bad: int
    next_query: str | None
    skew_seconds: float | None
    pause_until: datetime | None


class Sentry:
    """One organisation on one server. Every method raises UpstreamError."""

    def __init__(self, upstream: Upstream, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.organization = str(upstream.option("organization", "")).strip()
        if not self.organization:
            raise UpstreamError(
                Fault.REJECTED,
                f"{upstream.name} has no organisation. Set SENTRY_ORG, or the option organization of the"
                ' upstream, for example {"organization": "acme"}.',
            )
        if not SLUG.fullmatch(self.organization):
            raise UpstreamError(
                Fault.REJECTED,
                f"{upstream.name} has the organisation {self.organization[:100]!r}, which is not a valid slug: letters,"
                " digits, - and _. Take it from the address of the organisation's pages.",
            )
        # People copy the URL with and without this path.
        base = upstream.members[0].removesuffix(API)
        self.client: Client = client_for(upstream, base, timeout_seconds=timeout_seconds)

    def __enter__(self) -> "Sentry":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.__exit__(*exc)

    @property
    def _organization_path(self) -> str:
        return f"{API}/organizations/{quote(self.organization, safe='')}"

    def issues(
        self,
        query: str | None = None,
        *,
        sort: str = SORTS[0],
        known: Mapping[bytes, str] = NOTHING,
    ) -> Page:
        """Return a page of issues in any status; `query` is the `next_query` of the previous page.

        For items whose hash is in `known`, only the ids are returned, in `same`.
        """
        path = f"{self._organization_path}/issues/"
        first = {"query": "", "sort": sort, "limit": PAGE_SIZE, "groupStatsPeriod": "24h"}
        with self._explained():
            reply = self.client.get(f"{path}?{query}") if query else self.client.get(path, first)
        try:
            issues, bad, same = payloads.page(reply.body, known)
        except PayloadError as error:
            raise self._malformed(reply, error) from error
        return Page(
            issues,
            same,
            bad,
            next_query(reply.headers.get("Link", "")),
            reply.skew_seconds,
            _pause_until(reply),
        )

    def issue(self, issue_id: str) -> Listed | None:
        """Return one issue; None when the server no longer has it, or has merged it into another."""
        try:
            reply = self._of_issue(issue_id)
        except UpstreamError as error:
            if error.status == 404:
                return None
            raise
        found = payloads.usable(msgspec.Raw(reply.body))
        if found is None:
            raise self._malformed(reply, PayloadError("The issue cannot be read."))
        return found if found.issue_id == issue_id else None

    def change(self, issue_id: str, body: Mapping[str, Any]) -> Changed:
        """Change status or assignee of one issue; return its new state as reported by the server."""
        with self._explained(writing=True):
            path = f"{self._organization_path}/issues/{quote(issue_id, safe='')}/"
            reply = self.client.put(path, dict(body))
        try:
            return payloads.changed(reply.body)
        except PayloadError as error:
            raise self._malformed(reply, error) from error

    def trend(self, issue_id: str, period: str) -> list[list[int]]:
        """Return [[Unix seconds, events], …] of one issue over `24h` or `14d`."""
        parameters = {"groups": issue_id, "statsPeriod": period}
        with self._explained():
            reply = self.client.get(f"{self._organization_path}/issues-stats/", parameters)
        return payloads.statistics(reply.json(), issue_id, period)

    def latest_event(self, issue_id: str) -> Any:
        """Return the newest event of an issue, decoded."""
        return self._of_issue(issue_id, "events/latest/").json()

    def _of_issue(self, issue_id: str, rest: str = "") -> Reply:
        """Send a request about one issue: GlitchTip supports only the short path, Sentry documents the long one."""
        path = f"issues/{quote(issue_id, safe='')}/{rest}"
        try:
            return self.client.get(f"{API}/{path}")
        except UpstreamError as error:
            if error.status not in (404, 405):
                raise
            short = error
        try:
            return self.client.get(f"{self._organization_path}/{path}")
        except UpstreamError as error:
            raise (short if short.status == 404 and error.status == 405 else error) from error

    @contextmanager
    def _explained(self, *, writing: bool = False) -> Iterator[None]:
        """Explain what a refusal means, in Sentry's terms."""
        try:
            yield
        except UpstreamError as error:
            sentence = self._sentence(error.status, writing=writing)
            if sentence is None:
                raise
            raise UpstreamError(error.fault, sentence, status=error.status) from error

    def _sentence(self, status: int | None, *, writing: bool) -> str | None:
        host = self.client.target.base_url
        scopes = "org:read, project:read and event:read" + (" and event:write" if writing else "")
        if status == 401:
            return (
                f"{host} rejected the token (HTTP 401). Create one with the scopes {scopes}, and set it as"
                " SENTRY_API_TOKEN or on the upstream."
            )
        if status == 403:
            return (
                f"The token may not {'change' if writing else 'read'} issues of {self.organization} at {host}"
                f" (HTTP 403). Give it the scopes {scopes}."
            )
        if status == 404 and writing:
            return f"{host} no longer has this issue (HTTP 404). It was deleted, or merged into another one."
        if status == 404:
            return (
                f"{host} has no organisation {self.organization!r} that the token can see (HTTP 404). Set the"
                " slug from the address of its pages as SENTRY_ORG or as the option organization."
            )
        return None

    def _malformed(self, reply: Reply, error: PayloadError) -> UpstreamError:
        if reply.body.lstrip()[:1] not in (b"[", b"{"):
            return not_json(reply)
        return UpstreamError(
            Fault.MALFORMED,
            f"{self.client.target.base_url} does not answer like Sentry. {error}",
        )


def _pause_until(reply: Reply) -> datetime | None:
    """Return the end of the rate limit's window if the limit is used up."""
    if reply.headers.get("X-Sentry-Rate-Limit-Remaining", "").strip() != "0":
        return None
    return reset_at(reply.headers, skew_seconds=reply.skew_seconds or 0)
