"""Nobody but an operator finds the operator's pages, whatever he does there."""

from uuid import uuid4

import pytest
from django.test import Client

from gateway.operator.urls import urlpatterns
from tests.gateway.operator.conftest import Visit
from tests.gateway.operator.shop import add_channel, add_model
from tests.people import People

WORDS = {"channel_id": 0, "provider": "openai", "name": "tiny", "user_id": 0}


def addresses(channel_id: int, user_id: int) -> list[str]:
    """Every page, with things that are there."""
    words = WORDS | {"channel_id": channel_id, "user_id": user_id}
    found = []
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        for name, value in words.items():
            for kind in ("int", "slug", "str"):
                route = route.replace(f"<{kind}:{name}>", str(value))
        found.append(f"/operator/{route}")
    return found


@pytest.fixture
def pages(people: People) -> list[str]:
    add_model()
    return addresses(add_channel().pk, people.bob.pk)


def test_admins_members_and_outsiders_find_nothing(
    pages: list[str], people: People, visit: Visit
) -> None:
    assert len(pages) > 15
    for user in (people.alice, people.bob, people.charlie):
        client = visit(user)
        for page in pages:
            assert client.get(page).status_code in (404, 405), page
            assert client.post(page).status_code in (404, 405), page
            assert 404 in (client.get(page).status_code, client.post(page).status_code), page


def test_who_is_not_signed_in_is_led_to_the_sign_in(pages: list[str]) -> None:
    client = Client()
    for page in pages:
        answers = [client.get(page), client.post(page)]
        assert {answer.status_code for answer in answers} <= {302, 405}, page
        for answer in answers:
            if answer.status_code == 302:
                assert "/accounts/login/" in answer["Location"], page


def test_an_operator_opens_every_page_that_is_not_a_verb(pages: list[str], olga: Client) -> None:
    answers = {page: olga.get(page).status_code for page in pages}
    assert set(answers.values()) <= {200, 405}
    verbs = ("credential", "switch", "cost", "test", "delete", "activate", "reset", "second-factor")
    assert [page for page, status in answers.items() if status == 405] == [
        page
        for page in pages
        if page.endswith(tuple(f"{verb}/" for verb in verbs))
        or (page.endswith("/models/") and "/channels/" in page)
    ]


def test_a_channel_a_model_and_a_person_that_are_not_there_are_not_found(olga: Client) -> None:
    for page in ("channels/0/", "models/openai/none/", "models/openai/none/price/", "people/0/"):
        assert olga.get(f"/operator/{page}").status_code == 404, page


def test_the_trail_of_an_organization_is_for_its_admins(people: People, visit: Visit) -> None:
    page = f"/organization/{people.organization.pk}/audit/"
    statuses = [
        visit(user).get(page).status_code
        for user in (people.alice, people.olga, people.bob, people.charlie)
    ]
    assert statuses == [200, 200, 404, 404]
    assert visit(people.alice).get(f"/organization/{uuid4()}/audit/").status_code == 404
