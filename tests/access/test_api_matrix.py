"""Who may see and change what by the management API: every address and method of it, for everybody, against the table
in api_expectations.py."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.access.addresses import Address
from tests.access.api_addresses import METHODS, api_addresses, api_methods, unnamed_routes
from tests.access.api_expectations import LINES, VARIANTS, VIEWERS, Line, Variant
from tests.access.api_objects import CALLING, ApiScene, make_api_scene, new_key
from tests.access.expectations import NOT_OBJECTS
from tests.access.fingerprint import fingerprint, undone, writes_since
from tests.sign_in import let_proof_age

pytestmark = pytest.mark.django_db
TOKEN = "t" * 32
ADDRESSES = api_addresses()
TAKEN = {f"{method.upper()} {name}" for name, found in api_methods().items() for method in found}
KNOWN = {name: Variant(name, line) for name, line in LINES.items() if name in TAKEN}
CASES = KNOWN | {label: one for label, one in VARIANTS.items() if one.name in TAKEN}
WRITES = [label for label, one in CASES.items() if not one.name.startswith("GET ")]


@pytest.fixture(scope="module")
def scene(price_book: None, django_db_setup: None, django_db_blocker: Any) -> Iterator[ApiScene]:
    """One for all tests of this module, which is taken back at its end."""
    with django_db_blocker.unblock(), undone():
        yield make_api_scene()


@pytest.fixture
def made(scene: ApiScene) -> Iterator[ApiScene]:
    """The scene; what a test does to it is taken back."""
    with undone():
        yield scene


def test_every_method_of_every_address_has_its_line_in_the_table() -> None:
    missing = sorted(TAKEN - LINES.keys())
    assert missing == [], (
        f"add {missing} to LINES in tests/access/api_expectations.py: for each of them, who gets what status, with a "
        "body that the right people may send"
    )


def test_every_line_of_the_table_has_its_address() -> None:
    gone = sorted(LINES.keys() - TAKEN)
    assert gone == [], f"nothing of the API is called {gone}: take them out of api_expectations.py"


def test_what_has_no_name_is_an_address_with_a_slash_behind_it() -> None:
    named = {f"{one.route}/" for one in ADDRESSES.values()}
    assert unnamed_routes() == named | {"^api/v1/"}


def test_the_table_keeps_its_own_rules() -> None:
    """No line lets outsiders learn whether something exists without saying why."""
    for label, (name, line) in CASES.items():
        if not line.why_open:
            assert line.row.outsider == 404, f"{label}: outsiders get 404"
        elif objects_of(address_of(name)):
            pytest.fail(f"{label}: an address with somebody's object in it is open to nobody else")


def address_of(name: str) -> Address:
    return ADDRESSES[name.partition(" ")[2]]


def objects_of(address: Address) -> list[str]:
    """Those of its parameters that name somebody's object."""
    return [one for one in address.parameters if one not in NOT_OBJECTS | {"month"}]


def url_of(name: str, values: dict[str, object], line: Line) -> str:
    values = values | line.parameters
    address = address_of(name)
    url = reverse(address.name, kwargs={one: values[one] for one in address.parameters})
    return f"{url}?{line.query}" if line.query else url


def send(client: Client, name: str, url: str, body: Any, **headers: str) -> Any:
    """The answer. In a subtransaction of its own, by which `fingerprint` tells what was written in it."""
    client.raise_request_exception = False
    raw = b"" if body is None else msgspec.json.encode(body)
    with transaction.atomic():
        return client.generic(
            name.partition(" ")[0],
            url,
            raw,
            content_type="application/json",
            headers={"Idempotency-Key": new_key(), **headers},
        )


def ask(made: ApiScene, viewer: str, name: str, url: str, body: Any) -> Any:
    """The answer to the viewer's key; to nobody's without one."""
    key = made.keys.get(viewer)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return send(Client(), name, url, body, **headers)


def code_of(answer: Any) -> Any:
    return answer.json()["error"]["code"]


@pytest.mark.parametrize("label", CASES)
def test_everybody_gets_what_the_table_says(made: ApiScene, label: str) -> None:
    name, line = CASES[label].name, CASES[label].line.filled(made)
    url = url_of(name, made.parameters(), line)
    refused = [one for one in VIEWERS if getattr(line.row, one) >= 400 or name.startswith("GET ")]
    before = fingerprint()
    stranger = ask(made, "nobody", name, url, line.body)
    assert (stranger.status_code, code_of(stranger)) == (401, "invalid_api_key")
    caller = ask(made, CALLING, name, url, line.body)
    assert (caller.status_code, code_of(caller)) == (403, "key_scope")
    got = {viewer: ask(made, viewer, name, url, line.body).status_code for viewer in refused}
    counted = [line.counts] if line.counts else []
    assert writes_since(before) == counted, f"of {got}, nobody may write anything"
    for viewer in VIEWERS:
        if viewer not in refused:
            with undone():
                got[viewer] = ask(made, viewer, name, url, line.body).status_code
    assert got == line.row._asdict()


@pytest.mark.parametrize("label", [one for one in CASES if one not in WRITES])
def test_a_session_reads_what_a_key_of_its_user_does(made: ApiScene, label: str) -> None:
    name, line = CASES[label].name, CASES[label].line.filled(made)
    url = url_of(name, made.parameters(), line)
    got = {}
    for viewer in ("outsider", "member", "admin"):
        client = Client()
        client.force_login(user_of(made, viewer))
        got[viewer] = send(client, name, url, None).status_code
    assert got == {viewer: getattr(line.row, viewer) for viewer in got}


def may_do(line: Line) -> list[str]:
    """The viewers who are let in: nobody where the installation has not set up what it is for."""
    return [one for one in VIEWERS if getattr(line.row, one) not in (403, 404)]


def user_of(made: ApiScene, viewer: str) -> User:
    user = made.scene.viewers[viewer]
    assert user is not None
    return user


@pytest.mark.parametrize("label", [one for one in WRITES if may_do(CASES[one].line)])
def test_a_session_writes_with_its_token_and_after_a_recent_proof(
    made: ApiScene, label: str
) -> None:
    name, line = CASES[label].name, CASES[label].line.filled(made)
    url = url_of(name, made.parameters(), line)
    may = may_do(line)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_of(made, may[-1]))
    client.cookies["csrftoken"] = TOKEN
    before = fingerprint()
    without = send(client, name, url, line.body)
    assert (without.status_code, code_of(without)) == (403, "forbidden")
    with undone():
        done = send(client, name, url, line.body, **{"X-CSRFToken": TOKEN})
        assert done.status_code == getattr(line.row, may[-1])
        # Otherwise the refusals would prove nothing but a body that is never valid.
        assert (writes_since(before) == []) is line.changes_nothing
    let_proof_age(client)
    late = send(client, name, url, line.body, **{"X-CSRFToken": TOKEN})
    assert (late.status_code, code_of(late)) == (403, "reauthentication_required")
    assert writes_since(before) == []


def has_parents(name: str) -> bool:
    """Whether an address names a group or an organization, and something in it."""
    objects = objects_of(address_of(name))
    return len(objects) > 1 and any(one in ("group_id", "organization_id") for one in objects)


@pytest.mark.parametrize("name", [name for name in KNOWN if has_parents(name)])
def test_nothing_is_found_under_a_place_of_somebody_else(made: ApiScene, name: str) -> None:
    """Charlie names his own group or organization, and what belongs to Alice's; the operator, who may see both, too."""
    line = KNOWN[name].line.filled(made)
    objects = objects_of(address_of(name))
    own = {one: value for one, value in made.scene.parents().items() if one in objects}
    values = made.parameters() | line.parameters | own
    url = url_of(name, values, line._replace(parameters={}))
    before = fingerprint()
    for viewer in ("outsider", "operator"):
        assert ask(made, viewer, name, url, line.body).status_code == 404, f"{viewer}: {url}"
    assert writes_since(before) == []


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_a_method_that_an_address_has_not_is_refused_as_such(made: ApiScene, name: str) -> None:
    taken = api_methods()[name]
    line = next(KNOWN[f"{method.upper()} {name}"].line for method in taken).filled(made)
    for method in METHODS:
        if method not in taken:
            label = f"{method.upper()} {name}"
            answer = ask(made, "operator", label, url_of(label, made.parameters(), line), {})
            assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
