"""Templates of rules: what is let through is what Prometheus parses."""

import pytest

from monitoring.rules.templates import KNOWN_FUNCTIONS, TemplateError, is_rendered, parse, render

GOOD = (
    "plain, with }} and { in it",
    "{{ $labels.instance }} is at {{ $value | humanize }}",
    "{{$labels.a}}{{- $value -}}{{-3}}",
    '{{ if gt $value 3.0 }}a{{ else if eq $labels.a "x}}" }}b{{ else }}c{{ end }}',
    '{{ range query "up" }}{{ .Labels.job }} {{ . | value }}{{ end }}',
    "{{ with query `up` }}{{ . | first | value }}{{ end }}",
    "{{ print (humanize $value) -3 }} {{ $externalURL }} {{ $externalLabels.region }}",
    '{{ printf "%.2f" $value }}\n{{\n$value\n}}',
)
BAD = (
    "{{", "{{ }}", "{{ $labels.x", "{{ $nothing }}", "{{ explode }}", "{{ $value 3 }}", '{{ $value | "x" }}',
    "{{ if $value }}", "{{ end }}", "{{ else }}", "{{ if $value }}{{ else }}{{ else }}{{ end }}", "{{ ( }}",
    "{{ ) }}", "{{ print print }}", "{{ if}}x{{ end }}", "{{ range $i := $labels }}{{ end }}", "{{/* x */}}",
    '{{ "a\nb" }}', "{{ define }}", "{{ template }}", "{{ break }}", "{{ $value| }}", "{{ |humanize }}",
    "{{ 08 }}", "{{ 1x }}", "{{ $labels.a.b.}}", "{{ $labels.x y }}", "{{ .}x}}", "{{ $value\x00 }}", "{{ 'a' }}",
)  # fmt: skip


@pytest.mark.parametrize("written", GOOD)
def test_what_prometheus_parses_is_accepted(written: str) -> None:
    parse(written)


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_template_is_refused_with_a_sentence(written: str) -> None:
    with pytest.raises(TemplateError, match=r"\.$|}}$"):
        parse(written)


@pytest.mark.parametrize("name", sorted(KNOWN_FUNCTIONS))
def test_every_function_may_be_called(name: str) -> None:
    parse(f"{{{{ {name} $value }}}}")


def test_blocks_are_not_nested_without_end() -> None:
    with pytest.raises(TemplateError, match="deep"):
        parse("{{ if 1 }}" * 30 + "{{ end }}" * 30)


@pytest.mark.parametrize(
    "written, shown",
    [
        ("{{ $labels.job }} at {{ $value }}", "api at 1234.5"),
        ("{{ $value | humanize }} {{$value|humanizeDuration}}", "1.234k 20m 34s"),
        ("{{ $labels.gone }}|{{- $labels.job -}}|", "|api|"),
        ("{{ $labels.job | toUpper }} {{ $value | title }}", "API {{ $value | title }}"),
    ],
)
def test_a_preview_fills_in_what_it_can(written: str, shown: str) -> None:
    assert render(written, {"job": "api"}, "1234.5") == shown


def test_a_preview_knows_what_it_cannot_fill_in() -> None:
    assert is_rendered("{{ $labels.a }} and {{ $value | humanize }}")
    assert not is_rendered('{{ query "up" | first | value }}')


@pytest.mark.parametrize(
    "function, value, shown",
    [
        ("humanize", "0", "0"), ("humanize", "0.0021", "2.1m"), ("humanize", "-2500000", "-2.5M"),
        ("humanize", "NaN", "NaN"), ("humanize", "1e300", "1e+276Y"), ("humanize1024", "1048576", "1Mi"),
        ("humanizePercentage", "0.1234", "12.34%"), ("humanizeDuration", "0.0123", "12.3ms"),
        ("humanizeDuration", "93784", "1d 2h 3m 4s"), ("humanizeDuration", "-90", "-1m 30s"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_prometheus_writes_them(
    function: str, value: str, shown: str
) -> None:
    assert render(f"{{{{ $value | {function} }}}}", {}, value) == shown
