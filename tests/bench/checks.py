"""Checks: 300 that are due at once, with some targets that hang."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import requests
from django.utils import timezone

from monitoring.checks import runner
from monitoring.models import Check, StatusChange
from portal.core.models import Service
from tests.bench.table import Row, seconds
from tests.core.hostile import reply, serving

COUNT, HANGING, HANG_SECONDS = 300, 20, 5.0


def measure() -> Iterator[Row]:
    service = Service.objects.create(slug="bench-checks", name="Bench")
    stop = threading.Event()
    quick = reply(b"ok", "200 OK", "Connection: close")
    with serving(quick) as url, serving(lambda _peer: stop.wait(60)) as hanging:
        yield from _plain(service, url)
        yield from _beside_hanging(service, url, hanging)
        stop.set()
    StatusChange.objects.filter(service=service)._raw_delete("default")
    service.delete()


def _fill(service: Service, urls: list[str]) -> None:
    Check.objects.all().delete()
    Check.objects.bulk_create(
        Check(service=service, name=f"c{n}", kind="http", target=url, timeout_seconds=HANG_SECONDS)
        for n, url in enumerate(urls)
    )


def _run_all() -> None:
    done = 0
    while done < COUNT:
        done += runner.run_round(seconds=10)


def _plain(service: Service, url: str) -> Iterator[Row]:
    def bare() -> None:
        with ThreadPoolExecutor(runner.MAX_AT_ONCE) as pool:
            list(pool.map(lambda _n: requests.get(url, timeout=5), range(COUNT)))

    ours, floor = [], []
    for _ in range(3):
        _fill(service, [url] * COUNT)
        ours.append(seconds(_run_all))
        floor.append(seconds(bare))
    taken, least = sorted(ours)[1], sorted(floor)[1]
    what = f"{COUNT} checks asked, judged and written"
    yield Row(what, f"{taken * 1000:.0f} ms", f"{least * 1000:.0f} ms bare GETs", taken / least, 6)


def _beside_hanging(service: Service, url: str, hanging: str) -> Iterator[Row]:
    _fill(service, [hanging] * HANGING + [url] * (COUNT - HANGING))
    began = timezone.now()
    at = time.perf_counter()
    _run_all()
    whole = time.perf_counter() - at
    last = (
        Check.objects.filter(target=url)
        .order_by("-last_run_at")
        .values_list("last_run_at", flat=True)
    )
    waited = ((last[0] or began) - began) / timedelta(seconds=1)
    yield Row(
        f"  the slowest of {COUNT - HANGING} beside {HANGING} that hang for {HANG_SECONDS:g} s",
        f"{waited * 1000:.0f} ms", f"{whole * 1000:.0f} ms for all", waited, HANG_SECONDS, "s",
    )  # fmt: skip
