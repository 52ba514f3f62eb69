"""What a PromQL answer says about a condition, and targets as they are typed."""

from typing import Any

import pytest

from monitoring.checks.samples import SampleError, failing, samples
from monitoring.checks.targets import TargetError, address_of, statuses_of, url_of


def vector(*values: str, **labels: str) -> dict[str, Any]:
    result = [{"metric": labels, "value": [1.0, value]} for value in values]
    return {"resultType": "vector", "result": result}


@pytest.mark.parametrize(
    ("data", "comparison", "threshold", "wrong"),
    [
        (vector("1", "1"), "==", 1, 0),
        (vector("1", "0"), ">", 0, 1),
        (vector("+Inf"), "<", 100, 1),
        ({"resultType": "scalar", "result": [1.0, "3"]}, "<=", 3, 0),
    ],
)
def test_values_are_compared(data: Any, comparison: str, threshold: float, wrong: int) -> None:
    assert len(failing(samples(data), comparison, threshold)) == wrong


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (vector(), "returns no value"),
        (vector("NaN"), "returns no value"),
        ({"resultType": "matrix", "result": []}, r"Remove the \[range\]"),
        (vector(*["1"] * 1001), "Aggregate"),
        (None, "malformed answer"),
        ({"resultType": "vector", "result": [{"metric": 7, "value": "x"}]}, "returns no value"),
    ],
)
def test_no_value_is_no_good_news(data: Any, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        samples(data)


def test_a_sample_names_itself() -> None:
    (sample,) = samples(vector("0.5", __name__="up", job="api"))
    assert str(sample) == 'up{job="api"} is 0.5 and'


@pytest.mark.parametrize(
    ("written", "expected"),
    [("db.example:5432", ("db.example", 5432)), (" [::1]:443 ", ("::1", 443))],
)
def test_addresses(written: str, expected: tuple[str, int]) -> None:
    assert address_of(written) == expected


@pytest.mark.parametrize(
    "written",
    ["", "db", "db:0", "db:99999", "http://db:80", "db:80/x", "u@db:80", "a b:80", "[::1:443"],
)
def test_bad_addresses_are_refused_with_an_example(written: str) -> None:
    with pytest.raises(TargetError, match=r"db\.example:5432"):
        address_of(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "shop.example",
        "ftp://shop",
        "file:///etc/passwd",
        "gopher://shop:70/_x",
        "http://shop/\r\nHost: other",
        "http://",
        "http://a b/",
        "http://u:p@shop/",
        "http://[::1",
        "http://x:0/",
    ],
)
def test_bad_urls_are_refused(written: str) -> None:
    with pytest.raises(TargetError):
        url_of(written)


def test_statuses() -> None:
    assert statuses_of("200-299, 401") == ((200, 299), (401, 401))
    for written in ("", "2xx", "299-200", "99", "600", "200-", "-", "٢٠٠"):
        with pytest.raises(TargetError):
            statuses_of(written)
