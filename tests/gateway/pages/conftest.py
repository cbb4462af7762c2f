"""People, a key and the price book for the pages."""

from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import APIKey
from accounts.services import issue_key
from tests.people import People, make_people


@pytest.fixture(autouse=True)
def _static_files(settings: Any) -> None:
    """The folder that collectstatic fills; WhiteNoise warns where it is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def price_book(django_db_setup: None, django_db_blocker: Any) -> None:
    """The real price book, once for the run: rates can only be written in the transaction of their price."""
    with django_db_blocker.unblock():
        call_command("load_price_book", verbosity=0)


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]
