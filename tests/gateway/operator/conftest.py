"""A key, and each of the people as a visitor."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from tests.gateway.pages.conftest import key
from tests.people import People

__all__ = ["key"]

Visit = Callable[[User], Client]


@pytest.fixture
def visit() -> Visit:
    """A client that is signed in as somebody."""

    def made(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return made


@pytest.fixture
def olga(people: People, visit: Visit) -> Client:
    """The operator's client."""
    return visit(people.olga)


@pytest.fixture(autouse=True)
def _empty_shop(db: None) -> None:
    """No model and no price but the test's own. Other modules leave the real book behind, which only a transaction
    without triggers can take away; the test's is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in ("billing_pricerate", "billing_price", "gateway_model"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("SET LOCAL session_replication_role = origin")
