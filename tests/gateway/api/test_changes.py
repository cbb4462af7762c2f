"""The audit trail by program."""

import pytest

from accounts.key_services import rename_key
from accounts.models import Change
from tests.gateway.api.conftest import Keys
from tests.management import ManagementClient
from tests.people import People


def test_admins_read_the_trail_of_their_organization_alone(
    people: People,
    keys: Keys,
    alice: ManagementClient,
    bob: ManagementClient,
    charlie: ManagementClient,
) -> None:
    path = f"organizations/{people.organization.pk}/changes"
    answer = alice.get(path)
    mine = Change.objects.filter(organization=people.organization)
    assert answer.ids == [str(one.pk) for one in mine.order_by("-id")[:20]]
    assert "Charlie" not in str(answer.body)
    assert bob.get(path).status == 403
    assert charlie.get(path).status == 404


def test_lines_are_found_by_verb_person_subject_and_time(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    rename_key(keys.bob, people.bob, "renamed")
    path = f"organizations/{people.organization.pk}/changes"
    [line] = alice.get(f"{path}?verb=key.changed").body["data"]
    assert (line["actor"]["name"], line["subject"]["id"]) == ("Bob Brook", str(keys.bob.pk))
    assert line["after"] == {"name": "renamed"}
    assert len(alice.get(f"{path}?subject=apikey:{keys.bob.pk}").ids) == 2
    assert alice.get(f"{path}?who=bob&q=renamed").ids == [line["id"]]
    at = line["created_at"].replace("+", "%2B")
    assert line["id"] in alice.get(f"{path}?since={at}").ids
    assert line["id"] not in alice.get(f"{path}?until={at}").ids


def test_amounts_are_told_in_dollars(people: People, alice: ManagementClient) -> None:
    answer = alice.patch(f"groups/{people.group.pk}/limits", {"month_usd": "12.5"})
    assert answer.status == 200, answer.body
    path = f"organizations/{people.organization.pk}/changes?verb=group.limits_changed"
    [line] = alice.get(path).body["data"]
    assert line["after"]["month"] == "12.50"


def test_the_whole_trail_is_for_operators(
    people: People, keys: Keys, olga: ManagementClient, alice: ManagementClient
) -> None:
    everything = olga.get("changes?limit=100")
    assert len(everything.ids) == Change.objects.count()
    named = olga.get("changes?organization=Crane&limit=100").body["data"]
    assert {row["organization_id"] for row in named} == {str(people.foreign_organization.pk)}
    assert alice.get("changes").status == 404


@pytest.mark.parametrize(
    ("query", "param"),
    [("verb=none", "verb"), ("q=%00", "q"), ("since=x", "since"), ("after=x", "after"),
     ("organization=x", "organization"), ("who=" + "x" * 200, "who"), ("period=24h", "period")],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_its_name(
    people: People, alice: ManagementClient, query: str, param: str
) -> None:
    answer = alice.get(f"organizations/{people.organization.pk}/changes?{query}")
    assert (answer.status, answer.param) == (400, param)
