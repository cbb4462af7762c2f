"""Every refusal is in the envelope, and names what is wrong."""

import pytest

from accounts.api.views import ManagementView
from tests.management import ManagementClient
from tests.people import People


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b'{"name": "a", "name": "b"}', "invalid_json"),
        (b'{"name": NaN}', "invalid_json"),
        (b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
        (b'{"name": ' + b"1" * 5000 + b"}", "invalid_json"),
        (b'{"name": "' + b"a" * 1024 * 1024 + b'"}', "request_too_large"),
        (b"", "invalid_request_error"),
        (b'{"name": 7}', "invalid_request_error"),
        (b'{"name": "a\\u0000b"}', "invalid_request_error"),
        (b'{"name": "a\\nb"}', "invalid_request_error"),
        (b'{"name": "a\\ud800"}', "invalid_request_error"),
    ],
)
def test_a_body_that_cannot_be_is_refused(
    alice: ManagementClient, people: People, raw: bytes, code: str
) -> None:
    answer = alice.send("PATCH", f"organizations/{people.organization.pk}", raw)
    assert answer.status == (413 if code == "request_too_large" else 400)
    assert answer.code == code
    people.organization.refresh_from_db()
    assert people.organization.name == "Arden Labs"


def test_unknown_fields_are_refused_beside_what_else_is_wrong(
    alice: ManagementClient, people: People
) -> None:
    body = {"nmae": "Lab", "role": "admin"}
    answer = alice.patch(f"organizations/{people.organization.pk}", body)
    assert answer.status == 400
    assert {fault["param"] for fault in answer.body["error"]["errors"]} == {"name", "nmae", "role"}


def test_a_field_inside_of_others_is_named_by_its_path(
    alice: ManagementClient, people: People
) -> None:
    body = {"emails": ["dora@example.com", "no address"], "groups": [{"id": "x", "role": "boss"}]}
    answer = alice.post(f"organizations/{people.organization.pk}/invitations", body)
    named = {fault["param"] for fault in answer.body["error"]["errors"]}
    assert named == {"emails.1", "groups.0.id", "groups.0.role"}


def test_what_is_foreign_is_not_there(charlie: ManagementClient, people: People) -> None:
    for path in (f"organizations/{people.organization.pk}", f"groups/{people.group.pk}"):
        answer = charlie.get(path)
        assert (answer.status, answer.code) == (404, "not_found")


def test_another_content_type_and_method_are_refused_in_the_envelope(
    alice: ManagementClient, people: People
) -> None:
    answer = alice.send("PUT", f"organizations/{people.organization.pk}", {"name": "x"})
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    response = alice.client.patch(
        f"/api/v1/organizations/{people.organization.pk}",
        b"name=x",
        content_type="application/x-www-form-urlencoded",
        headers=alice.headers,
    )
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"


def test_unknown_query_parameters_are_refused(alice: ManagementClient) -> None:
    answer = alice.get("groups?organisation=x")
    assert (answer.status, answer.param) == (400, "organisation")
    assert alice.get("groups?organization=x").param == "organization"


@pytest.mark.parametrize("path", ["", "nothing", "groups/x", "organizations/7/members"])
def test_an_address_that_is_not_there_is_answered_in_the_envelope(
    alice: ManagementClient, path: str
) -> None:
    for method in ("GET", "POST", "DELETE", "PUT"):
        answer = alice.send(method, path, None)
        assert (answer.status, answer.code) == (404, "not_found")


def test_what_nobody_foresaw_is_logged_and_answered_in_the_envelope(
    alice: ManagementClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(ManagementView, "organizations", fail)
    answer = alice.get("organizations")
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "secret" not in str(answer.body)
    assert "a secret of ours" in caplog.text


def test_half_of_a_pair_in_a_name_is_no_text(alice: ManagementClient, people: People) -> None:
    for raw in (b'{"name":"x","\\ud800":1}', b'{"name":"x","role":"\\ud800"}'):
        answer = alice.send("PATCH", f"organizations/{people.organization.pk}", raw)
        assert (answer.status, answer.code) == (400, "invalid_request_error")


def test_options_is_a_method_like_others(alice: ManagementClient, people: People) -> None:
    answer = alice.send("OPTIONS", f"groups/{people.group.pk}", None)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
