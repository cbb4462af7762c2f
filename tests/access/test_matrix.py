"""Who may open and change what: every address of ours, for everybody, against the table in expectations.py."""

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.access.addresses import Address, our_addresses
from tests.access.expectations import NOT_OBJECTS, PAGES, VARIANTS, VIEWERS, Page, Variant
from tests.access.fingerprint import fingerprint, undone, writes_since
from tests.access.objects import Scene, make_scene

ADDRESSES = our_addresses()
KNOWN = sorted(ADDRESSES.keys() & PAGES.keys())
# Statuses of somebody who was let in: a page, a way back to one, a form that is not filled in well.
LET_IN = (200, 302, 422)


@pytest.fixture
def scene(price_book: None, db: None) -> Scene:
    return make_scene()


def test_every_address_has_its_line_in_the_table() -> None:
    missing = sorted(ADDRESSES.keys() - PAGES.keys())
    assert missing == [], (
        f"add {missing} to PAGES in tests/access/expectations.py: for each of them, who gets what status by GET and "
        "by POST, with a body that the right people may send"
    )


def test_every_line_of_the_table_has_its_address() -> None:
    gone = sorted(PAGES.keys() - ADDRESSES.keys())
    assert gone == [], f"no address is named {gone}: take them out of tests/access/expectations.py"


def test_the_table_keeps_its_own_rules() -> None:
    """No line lets outsiders learn whether something exists, and none lets strangers in, without saying why."""
    for name in KNOWN:
        page = PAGES[name]
        if page.why_open:
            continue
        for method, row in (("get", page.get), ("post", page.post)):
            assert row.anonymous in (302, 405), (
                f"{name} by {method}: strangers are led to the sign-in page"
            )
            if objects_of(ADDRESSES[name]):
                assert row.outsider in (404, 405), f"{name} by {method}: outsiders get 404"


def objects_of(address: Address) -> list[str]:
    """Those of its parameters that name somebody's object."""
    return [name for name in address.parameters if name not in NOT_OBJECTS]


def browser_of(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def url_of(name: str, values: dict[str, object], page: Page) -> str:
    values = values | page.parameters
    address = ADDRESSES[name]
    return reverse(address.name, kwargs={key: values[key] for key in address.parameters})


def send(client: Client, method: str, url: str, page: Page) -> int:
    """The status of the answer; 500 where the view broke."""
    client.raise_request_exception = False
    # A subtransaction of its own, by which `fingerprint` tells what was written in it.
    with transaction.atomic():
        if method == "get":
            return int(client.get(url).status_code)
        return int(client.post(url, page.body).status_code)


LINES = {name: Variant(name, PAGES[name]) for name in KNOWN} | {
    label: variant for label, variant in VARIANTS.items() if variant.name in ADDRESSES
}


@pytest.mark.parametrize("label", LINES)
def test_everybody_gets_what_the_table_says(scene: Scene, label: str) -> None:
    name, page = LINES[label].name, LINES[label].page.filled(scene)
    url = url_of(name, scene.parameters(), page)
    browsers = {viewer: browser_of(scene.viewers[viewer]) for viewer in VIEWERS}
    before = fingerprint()
    reading = {viewer: send(browsers[viewer], "get", url, page) for viewer in VIEWERS}
    assert writes_since(before) == [], "a GET writes nothing"
    may = [
        viewer
        for viewer in VIEWERS
        if getattr(page.post, viewer) in LET_IN and viewer != "anonymous"
    ]
    writing = {
        viewer: send(browsers[viewer], "post", url, page) for viewer in VIEWERS if viewer not in may
    }
    assert writes_since(before) == [], f"of {writing}, nobody may write anything"
    for viewer in may:
        with undone():
            writing[viewer] = send(browsers[viewer], "post", url, page)
    assert (reading, writing) == (page.get._asdict(), page.post._asdict())


def has_parents(name: str) -> bool:
    """Whether an address names a group or an organization, and something in it."""
    objects = objects_of(ADDRESSES[name])
    return len(objects) > 1 and any(one in ("group_id", "organization_id") for one in objects)


@pytest.mark.parametrize("name", [name for name in KNOWN if has_parents(name)])
def test_nothing_is_found_under_a_place_of_somebody_else(scene: Scene, name: str) -> None:
    """Charlie names his own group or organization, and what belongs to Alice's."""
    page = PAGES[name].filled(scene)
    objects = objects_of(ADDRESSES[name])
    own = [one for one in objects if one in scene.parents()]
    # Under his organization, a group of Alice's; under his group, a key of hers.
    swapped = own if len(own) < len(objects) else ["organization_id"]
    values = scene.parameters() | {one: scene.parents()[one] for one in swapped}
    url = url_of(name, values, page._replace(parameters={}))
    client = browser_of(scene.people.charlie)
    before = fingerprint()
    for method, row in (("get", page.get), ("post", page.post)):
        status = send(client, method, url, page)
        assert status == (405 if row.outsider == 405 else 404), f"{method} {url}"
    assert writes_since(before) == []


@pytest.mark.parametrize("name", [name for name in KNOWN if PAGES[name].body])
def test_what_the_table_posts_does_something_for_those_who_may(scene: Scene, name: str) -> None:
    """Otherwise the refusals above would prove nothing but a form that is never valid."""
    page = PAGES[name].filled(scene)
    if page.changes_nothing:
        return
    url = url_of(name, scene.parameters(), page)
    may = [one for one in VIEWERS if getattr(page.post, one) in (200, 302) and one != "anonymous"]
    client = browser_of(scene.viewers[may[-1]])
    before = fingerprint()
    send(client, "post", url, page)
    assert writes_since(before) != [], f"{may[-1]} changes nothing by {page.body}"
