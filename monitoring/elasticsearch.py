"""Client of Elasticsearch 7.10 to 9 and of OpenSearch over plain HTTP: the calls the portal needs.

https://www.elastic.co/docs/api/doc/elasticsearch/ and https://docs.opensearch.org/latest/api-reference/ .
The official clients reject each other's servers, and servers of other versions.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from monitoring.logs import replies
from portal.core.connect import target_of
from portal.core.http import Client, Fault, Reply, UpstreamError, refuse_errors
from portal.core.models import Upstream

DEFAULT_INDEX = "logs-*"
TIMEOUT_SECONDS = 15.0


class QueryRefusedError(UpstreamError):
    """The server rejected the query itself, so that the user must correct it; the message is the server's."""


class Elasticsearch:
    """One cluster and the indices to search. Every method raises UpstreamError."""

    def __init__(self, upstream: Upstream, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        index = str(upstream.option("index", "")).strip()
        self.index = index if index.strip(".") else DEFAULT_INDEX  # only dots would leave the path
        target = target_of(upstream, upstream.members[0], timeout_seconds=timeout_seconds)
        if key := target.credentials.get("token"):  # an API key, never sent as a bearer token
            target = replace(target, credentials={}, headers={"Authorization": f"ApiKey {key}"})
        self.client = Client(target)

    def __enter__(self) -> "Elasticsearch":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.__exit__(*exc)

    def about(self) -> tuple[dict[str, Any], Reply]:
        """Return the response of the root URL: cluster, version and distribution."""
        reply = self.client.get("/")
        decoded = reply.json()
        if not isinstance(decoded, dict) or not isinstance(decoded.get("version"), dict):
            raise self._stranger("Its root page reports no version.")
        return decoded, reply

    def health(self) -> dict[str, Any] | None:
        """Return the health of the cluster; None when the account or the product does not permit that call."""
        try:
            decoded = self.client.get("/_cluster/health").json()
        except UpstreamError as error:
            if error.status in (400, 403, 404, 410):
                return None
            raise
        return decoded if isinstance(decoded, dict) else None

    def search(self, body: dict[str, Any]) -> Any:
        """Return the decoded reply. Raises QueryRefusedError with the server's message."""
        path = f"/{quote(self.index, safe='*,-_.+:')}/_search"
        reply = self.client.post(
            f"{path}?ignore_unavailable=true&allow_no_indices=true", body, any_status=True
        )
        if reply.status >= 300:
            raise self._refusal(reply, is_asked="must" in body.get("query", {}).get("bool", {}))
        decoded = reply.json()
        if not isinstance(decoded, dict) or not isinstance(decoded.get("hits"), dict):
            raise self._stranger("Its answer to a search contains no hits.")
        return decoded

    def _refusal(self, reply: Reply, *, is_asked: bool) -> UpstreamError:
        try:
            decoded = reply.json()
        except UpstreamError:
            decoded = None
        said = replies.words(decoded)
        if reply.status == 400 and said and is_asked:
            return QueryRefusedError(
                Fault.REJECTED, f"The query was rejected: {said.rstrip('.')}.", status=400
            )
        if (
            reply.status == 400 and said
        ):  # the query is not the user's, so the mapping must be the cause
            sentence = (
                f"{self.client.target.base_url} cannot search {self.index!r}: {said.rstrip('.')}. Check the"
                " mapping of these indices: the field @timestamp has to be a date."
            )
            return UpstreamError(Fault.REJECTED, sentence, status=400)
        if replies.kind_of_error(decoded) == "index_not_found_exception":
            sentence = (
                f"{self.client.target.base_url} has no index {self.index!r}. Correct ELASTICSEARCH_INDEX, or the"
                " option index of the upstream."
            )
            return UpstreamError(Fault.NOT_FOUND, sentence, status=404)
        try:
            refuse_errors(
                replace(reply, url=self.client.target.base_url), f": {said}" if said else None
            )
        except UpstreamError as error:
            return error
        return self._stranger(f"It answered with HTTP {reply.status}.")

    def _stranger(self, why: str) -> UpstreamError:
        return UpstreamError(
            Fault.MALFORMED,
            f"{self.client.target.base_url} does not answer like Elasticsearch or OpenSearch. {why}"
            " Check the URL and its path prefix.",
        )
