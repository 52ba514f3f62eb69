"""To which service labels belong, and that thousands of services do not make it slow."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core import matchers
from portal.core.catalogue import Catalogue
from portal.core.matchers import Matcher, all_match, build, parse
from tests.factories import make_service

NAMES, VALUES = ["service", "job", "zone", "team"], ["", "a", "b", "s1", "s3"]
ASKED = (st.sampled_from(NAMES), st.sampled_from(matchers.OPERATORS), st.sampled_from(VALUES))
ONE = st.builds(build, *ASKED)
SERVICES = st.lists(st.lists(ONE, max_size=3).map(tuple), max_size=6)
LABELS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES))


def catalogue_of(services: Sequence[tuple[Matcher, ...]]) -> Catalogue:
    return Catalogue.of((number, f"s{number}", asked) for number, asked in enumerate(services))


def one_by_one(services: list[tuple[Matcher, ...]], labels: dict[str, str]) -> int | None:
    """What the documents promise, as slowly as can be."""
    slugs = {f"s{number}": number for number in range(len(services))}
    if (named := slugs.get(labels.get("service", ""))) is not None:
        return named
    fitting = (number for number, asked in enumerate(services) if all_match(asked, labels))
    return next(fitting, slugs.get(labels.get("job", "")))


@given(SERVICES, LABELS)
def test_labels_belong_to_the_service_they_name_then_the_first_that_fits_then_their_job(
    services: list[tuple[Matcher, ...]], labels: dict[str, str]
) -> None:
    assert catalogue_of(services).service_id(labels) == one_by_one(services, labels)


@pytest.mark.parametrize("app", ['app="app-{}"', 'app=~"app-{}|shop-{}"', 'app=~"app-{}(-[0-9])?"'])
def test_only_services_that_ask_for_a_label_of_the_alert_are_held_against_it(
    app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = [(parse(app.format(n, n)), parse('env="live"')) for n in range(1000, 6000)]
    catalogue = catalogue_of(services)
    looked: list[Matcher] = []
    matches = Matcher.matches

    def noted(matcher: Matcher, labels: Mapping[str, str]) -> bool:
        looked.append(matcher)
        return matches(matcher, labels)

    monkeypatch.setattr(Matcher, "matches", noted)
    assert catalogue.service_id({"app": "app-5999", "env": "live"}) == 4999
    assert len(looked) == 2


def test_the_expressions_of_thousands_of_services_are_compiled_once() -> None:
    services = [(parse(f'instance=~".*shop-{n}-[0-9]+"'),) for n in range(5000)]
    catalogue = catalogue_of(services)
    catalogue.service_id({"instance": "other"})
    before = matchers._compiled.cache_info().misses
    assert catalogue.service_id({"instance": "shop-4999-1"}) == 4999
    assert matchers._compiled.cache_info().misses == before


@pytest.mark.django_db
def test_the_catalogue_is_parsed_again_only_when_a_service_has_changed(
    django_assert_num_queries: Any,
) -> None:
    service = make_service(slug="shop", matchers=['app="shop"'])
    with django_assert_num_queries(2):
        catalogue = Catalogue.load()
        assert Catalogue.load() is catalogue
    assert catalogue.service_id({"app": "shop"}) == service.pk
    type(service).objects.update(matchers=['app="till"'])
    assert Catalogue.load().service_id({"app": "shop"}) is None
    assert Catalogue.load().service_id({"app": "till"}) == service.pk
    type(service).objects.all().delete()
    assert Catalogue.load().service_id({"app": "till"}) is None
