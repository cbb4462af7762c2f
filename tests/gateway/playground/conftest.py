"""People who find the price book."""

import pytest

from tests.people import People, make_people


@pytest.fixture
def people(price_book: None, db: None) -> People:
    return make_people()
