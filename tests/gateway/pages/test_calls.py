"""The history of calls, and one call: for each, a stranger, an outsider, a member, an admin and the operator."""

import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.models import Price
from gateway.models import CallRecord
from gateway.pages import walks
from tests.gateway.call_rows import record, rows_of
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"


@pytest.mark.parametrize("name", ["group_keys", "group_usage", "group_calls"])
def test_who_may_open_a_tab(client: Client, people: People, name: str) -> None:
    url = reverse(name, args=[people.group.pk])
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    for user, status in (
        (people.charlie, 404),
        (people.bob, 200),
        (people.alice, 200),
        (people.olga, 200),
    ):
        client.force_login(user)
        assert client.get(url).status_code == status, user
        assert client.head(url).status_code == status, user


def test_the_group_leads_to_its_keys(client: Client, people: People) -> None:
    url = reverse("group", args=[people.group.pk])
    client.force_login(people.charlie)
    assert client.get(url).status_code == 404
    client.force_login(people.bob)
    assert client.get(url)["Location"] == f"{url}keys/"


def test_the_tab_that_is_open_is_marked(client: Client, people: People) -> None:
    client.force_login(people.bob)
    html = client.get(reverse("group_usage", args=[people.group.pk])).content.decode()
    assert re.findall(r'id="tab-(\w+)"[^>]*aria-current="page"', html) == ["usage"]


# Keys


def test_the_way_back_from_a_call_keeps_filters_and_page(
    client: Client, people: People, key: APIKey
) -> None:
    call, older = record(key, model="a/b"), record(key, model="a/b")
    client.force_login(people.bob)
    history = reverse("group_calls", args=[people.group.pk])
    here = f"?model=a%2Fb&before={'f' * 32}"
    shown = client.get(history + here).content.decode()
    place = f"{history}{call.public_id}/{here.replace('&', '&amp;')}"
    assert shown.count(f'"{place}"') == 2
    page = client.get(html.unescape(place)).content.decode()
    assert f'<a class="back" href="{history}{here.replace("&", "&amp;")}">' in page
    assert f'{older.public_id}/{here.replace("&", "&amp;")}"' in page, "neighbours too"
    plain = client.get(f"{history}{call.public_id}/").content.decode()
    assert f'<a class="back" href="{history}">' in plain


def test_who_may_open_a_call(client: Client, people: People, key: APIKey) -> None:
    call = record(key)
    url = reverse("call", args=[people.group.pk, call.public_id])
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    for user, status in (
        (people.charlie, 404),
        (people.bob, 200),
        (people.alice, 200),
        (people.olga, 200),
    ):
        client.force_login(user)
        assert client.get(url).status_code == status, user


def test_a_call_is_not_found_through_another_group(
    client: Client, people: People, key: APIKey
) -> None:
    call = record(key)
    client.force_login(people.charlie)
    url = reverse("call", args=[people.foreign_group.pk, call.public_id])
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("name", ["call_x", "call_" + "0" * 32, "0" * 32, "call_" + "g" * 32])
def test_what_is_no_call_is_not_found(client: Client, people: People, name: str) -> None:
    client.force_login(people.alice)
    assert client.get(reverse("call", args=[people.group.pk, name])).status_code == 404


def test_the_history_is_newest_first(client: Client, people: People, key: APIKey) -> None:
    calls = [record(key, seconds_ago) for seconds_ago in (30, 20, 10)]
    client.force_login(people.bob)
    html = client.get(reverse("group_calls", args=[people.group.pk])).content.decode()
    assert rows_of(html) == [call.public_id for call in reversed(calls)]


@pytest.mark.parametrize("source", ["api", "task"])
def test_the_toggle_is_a_filter(client: Client, people: People, key: APIKey, source: str) -> None:
    calls = {name: record(key, source=name) for name in ("api", "task")}
    client.force_login(people.bob)
    html = client.get(
        reverse("group_calls", args=[people.group.pk]), {"source": source}
    ).content.decode()
    assert rows_of(html) == [calls[source].public_id]
    assert re.findall(r'id="source-(\w+)"[^>]*aria-current="true"', html) == [source]


def test_filters_stay_in_the_links_of_toggle_and_pager(
    client: Client, people: People, key: APIKey
) -> None:
    for index in range(60):
        record(key, index, source="task")
    client.force_login(people.bob)
    html = client.get(
        reverse("group_calls", args=[people.group.pk]), {"key": str(key.pk), "source": "task"}
    ).content.decode()
    assert len(rows_of(html)) == 50
    assert f'id="source-all" href="?key={key.pk}"' in html
    [older] = re.findall(r'id="pager-older" rel="next" href="\?([^"]+)"', html)
    assert f"key={key.pk}" in older
    assert "source=task" in older
    rest = client.get(
        reverse("group_calls", args=[people.group.pk]) + "?" + older.replace("&amp;", "&")
    ).content.decode()
    assert len(rows_of(rest)) == 10
    assert not set(rows_of(rest)) & set(rows_of(html))
    assert 'id="live"' not in rest, "only the first page is live"


def test_a_filter_change_leaves_a_clean_address(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    query = {"key": "", "model": "", "status": "completed", "period": "", "size": "50"}
    response = client.get(url, query, headers={**HTMX, "HX-Target": "history"})
    assert response["HX-Push-Url"] == f"{url}?status=completed"


def test_nonsense_in_the_address_says_so(client: Client, people: People, key: APIKey) -> None:
    record(key)
    client.force_login(people.bob)
    response = client.get(reverse("group_calls", args=[people.group.pk]), {"status": "nonsense"})
    assert response.status_code == 200
    html = response.content.decode()
    assert "Select a valid choice" in html
    assert rows_of(html) == []


def test_the_two_kinds_of_empty(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    fresh = client.get(url).content.decode()
    assert "No calls yet" in fresh
    assert "curl http://testserver/v1/chat/completions" in fresh
    record(key)
    filtered = client.get(url, {"status": "lost"}).content.decode()
    assert "No call matches" in filtered
    assert "No calls yet" not in filtered


def test_unknown_looks_different_from_zero(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    record(key, status="timed_out", basis="", stream=True)
    unknown = client.get(url).content.decode()
    assert unknown.count('title="not known"') == 5, "three counts, the list price, the first token"
    CallRecord.objects.all().delete()
    record(key, first_token_ms=0, stream=True)
    assert 'title="not known"' not in client.get(url).content.decode()
    record(key)
    assert client.get(url).content.decode().count('title="not streamed"') == 1


def poll_url(html: str) -> str:
    [address] = re.findall(r'id="live" hidden hx-get="([^"]+)"', html)
    return str(address).replace("&amp;", "&")


def test_polling_is_silent_until_something_is_new(
    client: Client, people: People, key: APIKey
) -> None:
    record(key, 60)
    client.force_login(people.bob)
    html = client.get(
        reverse("group_calls", args=[people.group.pk]), {"status": "completed"}
    ).content.decode()
    headers = {**HTMX, "HX-Target": "calls-rows"}
    poll = poll_url(html)
    assert "status=completed" in poll
    assert client.get(poll, headers=headers).status_code == 204
    record(key, status="lost")
    assert client.get(poll, headers=headers).status_code == 204, "it does not match the filter"
    late = record(key, 90)
    answer = client.get(poll, headers=headers)
    assert answer.status_code == 200
    fragment = answer.content.decode()
    assert rows_of(fragment)[1] == late.public_id, "a call that ran long takes its place below"
    assert "<html" not in fragment
    assert "HX-Push-Url" not in answer
    assert fragment.count('hx-swap-oob="true"') == 3, "poller, pager, credit"
    assert client.get(poll_url(fragment), headers=headers).status_code == 204


def test_polling_an_empty_history_brings_the_first_table(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    html = client.get(reverse("group_calls", args=[people.group.pk])).content.decode()
    assert 'hx-target="#history"' in html
    call = record(key)
    answer = client.get(poll_url(html), headers={**HTMX, "HX-Target": "history"}).content.decode()
    assert rows_of(answer) == [call.public_id]
    assert 'id="history"' in answer


def test_hostile_names_are_text(client: Client, people: People) -> None:
    hostile = issue_key(people.group, people.alice, HOSTILE)[0]
    call = record(
        hostile, model=HOSTILE, error_code="x", error_message=HOSTILE, status="refused", basis=""
    )
    people.group.name = HOSTILE
    people.group.save()
    client.force_login(people.bob)
    for name, args in (
        ("group_calls", []),
        ("call", [call.public_id]),
        ("group_keys", []),
        ("group_usage", []),
    ):
        html = client.get(reverse(name, args=[people.group.pk, *args])).content.decode()
        assert HOSTILE not in html, name
        assert "&lt;script&gt;" in html, name


# One call


@pytest.mark.parametrize(
    ("amount", "words"), [(1_520_000, "the price book says"), (1, "$0.000000001 was booked")]
)
def test_a_charge_that_the_ledger_does_not_know_is_warned_about(
    client: Client, price_book: None, people: People, key: APIKey, amount: int, words: str
) -> None:
    price = Price.objects.get(model="openai/gpt-5.5", group=None)
    call = record(
        key,
        price_id=price.pk,
        input_tokens=38,
        output_tokens=95,
        list_nanos=3_040_000,
        amount_nanos=amount,
    )
    client.force_login(people.bob)
    html = client.get(reverse("call", args=[people.group.pk, call.public_id])).content.decode()
    assert "Does not agree with what was booked" in html
    assert words in html
    assert '<span class="money-fraction">001425</span>' in html


def test_a_failed_call_says_why_it_is_free(client: Client, people: People, key: APIKey) -> None:
    call = record(
        key, status="upstream_failed", basis="", error_code="upstream_error", error_message="boom"
    )
    client.force_login(people.bob)
    html = client.get(reverse("call", args=[people.group.pk, call.public_id])).content.decode()
    assert "Failed calls are not charged" in html
    assert "boom" in html
    assert "which is not the same as zero" in html


def test_attempts_are_for_operators(client: Client, people: People, key: APIKey) -> None:
    call = record(
        key, attempts=[{"channel": "openai: secret-channel", "status": 500, "error": "x", "ms": 12}]
    )
    url = reverse("call", args=[people.group.pk, call.public_id])
    for user, shown in ((people.bob, False), (people.alice, False), (people.olga, True)):
        client.force_login(user)
        assert ("secret-channel" in client.get(url).content.decode()) is shown


HOSTILE_VALUES = ["\x00", "9" * 5000, "a" * 10_000, "-1", "%", "'", "0001-01-01T00:00", "💥"]


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_hostile_values_in_the_address_are_answered_in_words(
    client: Client, people: People, key: APIKey, value: str
) -> None:
    record(key)
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    names = (
        *("source", "key", "member", "model", "status", "period", "endpoint", "stream", "error"),
        *("charge_min", "duration_min", "find", "size", "before", "after", "seen", "further"),
    )
    for name in names:
        assert client.get(url, {name: value}).status_code == 200, name
        assert client.get(url, {name: value}, headers=HTMX).status_code == 200, name
    spans = {"period": "custom", "since": value, "until": value}
    assert client.get(url, spans).status_code == 200


def test_the_page_of_a_call_stands_among_its_neighbours_and_leads_to_its_transfer(
    client: Client, people: People, key: APIKey
) -> None:
    calls = [record(key, seconds_ago) for seconds_ago in (30, 20, 10)]
    client.force_login(people.bob)
    html = client.get(reverse("call", args=[people.group.pk, calls[1].public_id])).content.decode()
    around = html.partition('aria-labelledby="around-head"')[2].partition("</tbody>")[0]
    links = re.findall(r'data-href="[^"]+/(call_[0-9a-f]+)/"', around)
    assert links == [calls[2].public_id, calls[0].public_id]
    [cursor] = re.findall(r'id="in-history" href="[^"]+\?before=([0-9a-f]{32})"', html)
    page = client.get(reverse("group_calls", args=[people.group.pk]), {"before": cursor})
    assert rows_of(page.content.decode()) == [call.public_id for call in reversed(calls)]


def test_a_search_in_part_says_how_far_it_looked_and_goes_on(
    client: Client, people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "FIRST_SLICE", 26)
    monkeypatch.setattr(walks, "PAGE_S", 0)
    rare = record(key, 900, duration_ms=9000)
    for index in range(60):
        record(key, index)
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    html = client.get(url, {"duration_min": "9", "size": "25"}).content.decode()
    assert "Nothing found so far" in html
    [further] = re.findall(r'id="search-further" href="(\?[^"]+)"', html)
    assert "further=1" in further
    rest = client.get(url + further.replace("&amp;", "&")).content.decode()
    assert rows_of(rest) == [rare.public_id]
    assert "Search further" not in rest


def test_a_name_is_offered_though_nobody_calls_it_any_more(
    client: Client, people: People, key: APIKey
) -> None:
    record(key, model="a/b", status="refused", error_code="some_code", basis="")
    client.force_login(people.bob)
    html = client.get(reverse("group_calls", args=[people.group.pk])).content.decode()
    assert '<option value="a/b">a/b</option>' in html
    assert '<option value="some_code">some_code</option>' in html
    assert f'<option value="{people.alice.pk}">Alice Arden</option>' in html
