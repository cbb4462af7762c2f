"""Django admin: everything opens, nothing immutable is written, no secret is shown, no table is read through."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import BinaryField
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import key_services, services
from accounts.ids import uuid7
from accounts.models import APIKey, Change
from billing import ledger
from billing.notice_models import Order
from gateway.admin import SECRET_NAMES, LimitAdmin
from tests.gateway.call_rows import record
from tests.gateway.operator.shop import SECRET, add_channel, add_model, sell
from tests.people import PASSWORD, People, fund, make_people

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def people(db: None) -> People:
    made = make_people(password=PASSWORD)
    fund(made, pool_nanos=10**9, wallet_nanos=10**9)
    sell(add_model())
    add_channel()
    return made


@pytest.fixture
def key(people: People) -> APIKey:
    return key_services.issue_key(people.group, people.alice, HOSTILE)[0]


@pytest.fixture
def operator(people: People, client: Client) -> Client:
    client.force_login(people.olga)
    client.get("/admin/")  # the first request notes the session
    return client


def path_of(model: Any, rest: str = "") -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{rest}"


def registered() -> list[Any]:
    return sorted(admin.site._registry, key=lambda model: str(model._meta.label))


def test_every_list_and_every_row_opens_and_shows_no_secret(
    operator: Client, key: APIKey, people: People
) -> None:
    record(key, model=HOSTILE)
    secrets = (SECRET, people.alice.password, bytes(key.digest).hex())
    opened = 0
    for model in registered():
        page = operator.get(path_of(model))
        assert page.status_code == 200, model
        row = model._default_manager.first()
        shown = page.content.decode()
        if row is not None:
            opened += 1
            shown += operator.get(path_of(model, f"{row.pk}/change/")).content.decode()
        assert HOSTILE not in shown, model
        assert not any(secret in shown for secret in secrets), model
    assert opened > 12


def test_only_limits_can_be_written(operator: Client, key: APIKey) -> None:
    record(key)
    for model in registered():
        row = model._default_manager.first()
        if isinstance(admin.site._registry[model], LimitAdmin) or row is None:
            continue
        for rest in ("add/", f"{row.pk}/delete/"):
            assert operator.post(path_of(model, rest)).status_code == 403, (model, rest)
        assert operator.post(path_of(model, f"{row.pk}/change/"), {}).status_code == 403, model


def test_no_field_that_is_secret_is_on_any_form(people: People, rf: Any) -> None:
    request = rf.get("/")
    request.user = people.olga
    for model, made in admin.site._registry.items():
        shown = {
            name for _title, options in made.get_fieldsets(request) for name in options["fields"]
        }
        hidden = {
            f.name for f in model._meta.get_fields() if isinstance(f, BinaryField)
        } | SECRET_NAMES
        assert not shown & hidden, model


def test_a_call_is_found_by_its_id_its_group_or_its_key_and_by_nothing_else(
    operator: Client, key: APIKey, people: People
) -> None:
    call = record(key)
    page = "/admin/gateway/callrecord/"

    def found(term: str) -> int:
        return len(operator.get(page, {"q": term}).context["cl"].result_list)

    assert found(call.public_id) == found(str(call.pk)) == found(str(key.pk)) == 1
    assert found(str(people.group.pk)) == 1
    assert found(str(uuid4())) == found("gpt") == found("' OR 1=1") == 0


def test_the_list_of_calls_reads_no_more_than_its_page(operator: Client, key: APIKey) -> None:
    for number in range(60):
        record(key, number)
    with CaptureQueriesContext(
        connection,
    ) as caught:
        page = operator.get("/admin/gateway/callrecord/")
    assert len(page.context["cl"].result_list) == 50
    ours = [one["sql"] for one in caught if "gateway_callrecord" in one["sql"]]
    assert ours
    assert all("LIMIT" in sql for sql in ours), ours
    assert len(caught) < 10


def test_lists_ask_a_constant_number_of_questions(operator: Client, people: People) -> None:
    def count(model: Any) -> int:
        with CaptureQueriesContext(connection) as caught:
            operator.get(path_of(model))
        return len(caught)

    before = {model: count(model) for model in registered()}
    for number in range(5):
        key_services.issue_key(people.group, people.bob, f"k{number}")
        sell(add_model(f"openai/m{number}"))
        add_channel(f"c{number}")
        ledger.grant(people.group, 1, operation_id=uuid7(), actor=people.alice)
    assert {model: count(model) for model in registered()} == before


def test_limits_that_are_typed_leave_a_line(operator: Client, key: APIKey, people: People) -> None:
    operator.post("/admin/billing/limit/add/", {"api_key": key.pk, "day_nanos": "1.5"})
    line = Change.objects.get(verb="key.limits_changed")
    assert (line.actor, line.after["day_nanos"]) == (people.olga, 1_500_000_000)


def test_orders_with_a_problem_are_found(operator: Client, people: People) -> None:
    """Also those of organizations that were deleted, which have no pages any more."""
    for problem in ("", "paid $50.00; nothing deposited"):
        Order.objects.create(
            organization=people.organization,
            buyer=people.alice,
            amount_nanos=50 * 10**9,
            problem=problem,
        )
    services.archive_organization(people.organization, actor=people.olga, before={}, note="")
    shown = operator.get(path_of(Order, "?problem__isempty=0")).content.decode()
    assert "paid $50.00; nothing deposited" in shown
    assert "1 order" in shown
