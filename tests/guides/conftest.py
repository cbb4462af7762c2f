"""Models of the test's own."""

import pytest
from django.core.cache import cache
from django.db import connection


@pytest.fixture
def empty_catalogue(db: None) -> None:
    """No model and no price. Other modules leave the real book behind, which only a transaction without triggers can
    take away; the test's is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in ("billing_pricerate", "billing_price", "gateway_model", "gateway_channel"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture(autouse=True)
def _nothing_is_kept(db: None) -> None:
    """The status page keeps its figures for some seconds, which is longer than a test."""
    cache.clear()
