"""Lists by cursor."""

import pytest

from accounts import services
from tests.management import ManagementClient
from tests.people import People


def test_pages_hold_every_row_once_newest_first(alice: ManagementClient, people: People) -> None:
    made = [str(people.group.pk)]
    for place in range(6):
        made.append(str(services.create_group(people.organization, f"G{place}", people.alice).pk))
    seen, after = [], ""
    for _ in range(10):
        answer = alice.get(f"groups?limit=3{after}")
        seen += answer.ids
        if not answer.body["has_more"]:
            break
        after = f"&after={answer.body['next']}"
    assert seen == made[::-1]
    assert answer.body["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=%D9%A1",
        "after=zz",
        "after=",
        "after=%00",
    ],
)
def test_a_page_that_cannot_be_is_refused(alice: ManagementClient, query: str) -> None:
    answer = alice.get(f"organizations?{query}")
    assert (answer.status, answer.param) == (400, query.partition("=")[0])


def test_a_cursor_of_members_may_be_any_number(alice: ManagementClient, people: People) -> None:
    path = f"organizations/{people.organization.pk}/members"
    assert len(alice.get(f"{path}?after={2**63 - 1}").ids) == 2
    assert alice.get(f"{path}?after={10**30}").status == 400
    assert alice.get(f"{path}?after=-5").ids == []
