"""RFC 6238, appendix B, with the last six of its eight digits; and the window of ours."""

import base64

import pytest

from security import factors, totp

SEED = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert totp.code_at(SEED, totp.step_at(seconds)) == code


@pytest.mark.parametrize(
    ("offset", "accepted"), [(-2, False), (-1, True), (0, True), (1, False)], ids=str
)
def test_the_window_is_one_step_back_and_none_forward(offset: int, accepted: bool) -> None:
    now = 1_700_000_010.0
    code = totp.code_at(SEED, totp.step_at(now) + offset)
    assert (totp.matching_step(SEED, code, now=now, spent=0) is not None) is accepted


def test_a_spent_step_and_those_before_it_are_refused() -> None:
    now = 1_700_000_010.0
    step = totp.step_at(now)
    for behind in (0, 1):
        code = totp.code_at(SEED, step - behind)
        assert totp.matching_step(SEED, code, now=now, spent=step) is None


@pytest.mark.parametrize("written", ["", "abc", "١٢٣٤٥٦", "\ud800", "0" * 10_000, "\x00"])
def test_no_text_makes_the_comparison_fail(written: str) -> None:
    assert totp.matching_step(SEED, written, now=1.0e9, spent=0) is None


def test_recovery_codes_have_128_bits_and_forgive_misreading() -> None:
    codes = {factors._new_code() for _ in range(50)}
    assert len(codes) == 50
    assert {len(code.replace("-", "")) for code in codes} == {26}
    assert factors._hash("OIB-a b", "key") == factors._hash("018ab", "key")
