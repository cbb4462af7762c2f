"""deposit, grant, reclaim, refund, adjust: what they move, what they refuse, and that they move once."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import connection

from accounts import services
from accounts.ids import uuid7
from accounts.models import Group, Organization, User
from billing import ledger
from billing.errors import (
    InsufficientCredit,
    InvalidAmount,
    LedgerError,
    NotRefundable,
    OperationConflict,
)
from billing.models import NANOS_MAX, Account, Hold, HoldOwner, Transfer
from tests.billing import bank
from tests.billing.bank import connect, in_parallel, orm_on, violations
from tests.world import World

POOL, WALLET, CHARGED = 10_000, 5_000, 500
Verb = Callable[[UUID, int], Transfer]


class Books(NamedTuple):
    """Alice's organization with 10,000 nanos in its pool and 5,000 in the first of two wallets, after a call that was
    charged 500 to that wallet."""

    operator: User
    alice: User
    organization: Organization
    group: Group
    second: Group
    call_id: UUID

    def account(self, kind: Account.Kind, group: Group | None = None) -> Account:
        return Account.objects.get(organization=self.organization, kind=kind, group=group)

    def balances(self) -> dict[str, int]:
        """Balance of each account that has moved, by its kind; the second group's wallet is `second`."""
        rows = Account.objects.filter(organization=self.organization).exclude(balance_nanos=0)
        return {
            "second" if row.group_id == self.second.pk else row.kind: row.balance_nanos
            for row in rows
        }

    def verbs(self) -> dict[str, Verb]:
        """The five verbs as functions of operation id and amount."""
        operator = {"actor": self.operator, "reason": "Agreed"}
        alice = {"actor": self.alice}
        return {
            "deposit": _verb(ledger.deposit, self.organization, operator),
            "grant": _verb(ledger.grant, self.group, alice),
            "reclaim": _verb(ledger.reclaim, self.group, alice),
            "refund": _verb(ledger.refund, self.group, operator),
            "adjust": _verb(ledger.adjust, self.group, operator),
        }


VERBS = ("deposit", "grant", "reclaim", "refund", "adjust")


def _verb(function: Any, owner: Any, fields: dict[str, Any]) -> Verb:
    return lambda operation_id, amount: function(owner, amount, operation_id=operation_id, **fields)


def make_books() -> Books:
    operator = User.objects.create_user("operator@example.com", is_staff=True)
    alice = User.objects.create_user("alice@example.com")
    organization = services.create_organization(alice, "Arden Labs")
    group = services.create_group(organization, "Research", alice)
    second = services.create_group(organization, "Support", alice)
    ledger.deposit(organization, POOL + WALLET + CHARGED, operation_id=uuid7(), actor=operator)
    ledger.grant(group, WALLET + CHARGED, operation_id=uuid7(), actor=alice)
    call_id, wallet = hold(group, CHARGED), Account.objects.wallet_of(group)
    batch((bank.Settle(call_id, wallet.pk, CHARGED),), ())
    return Books(operator, alice, organization, group, second, call_id)


@pytest.fixture
def books(db: None) -> Books:
    return make_books()


def batch(settles: tuple[bank.Settle, ...], holds: tuple[bank.Hold, ...]) -> None:
    """What a gateway process does with money."""
    owner = HoldOwner.objects.create().pk
    with connection.cursor() as cursor:
        cursor.execute(bank.APPLY, bank.apply_arguments(owner, settles, holds))


def hold(group: Group, amount_nanos: int) -> UUID:
    """An open hold on the group's wallet."""
    hold_id, wallet = uuid7(), Account.objects.wallet_of(group).pk
    batch((), (bank.Hold(hold_id, wallet, amount_nanos),))
    assert Hold.objects.get(pk=hold_id).amount_nanos == amount_nanos
    return hold_id


# What each verb moves


def test_a_deposit_fills_the_pool_from_outside(books: Books) -> None:
    before = books.balances()
    ledger.deposit(books.organization, 70, operation_id=uuid7(), actor=books.operator)
    assert books.balances() == {
        **before,
        "pool": POOL + 70,
        "deposits": -(POOL + WALLET + CHARGED + 70),
    }


def test_a_grant_moves_credits_from_the_pool_to_the_groups_wallet(books: Books) -> None:
    before = books.balances()
    ledger.grant(books.second, 70, operation_id=uuid7(), actor=books.alice)
    assert books.balances() == {**before, "pool": POOL - 70, "second": 70}


def test_a_reclaim_moves_them_back(books: Books) -> None:
    before = books.balances()
    ledger.reclaim(books.group, 70, operation_id=uuid7(), actor=books.alice)
    assert books.balances() == {**before, "pool": POOL + 70, "wallet": WALLET - 70}


def test_a_refund_gives_revenue_back_and_names_the_call(books: Books) -> None:
    before = books.balances()
    transfer = ledger.refund(
        books.group,
        70,
        operation_id=uuid7(),
        actor=books.operator,
        reason="Outage",
        call_id=books.call_id,
    )
    assert books.balances() == {**before, "revenue": CHARGED - 70, "wallet": WALLET + 70}
    assert transfer.call_id == books.call_id


def test_an_adjustment_gives_from_promotions_or_takes_back_into_them(books: Books) -> None:
    before = books.balances()
    adjust = books.verbs()["adjust"]
    adjust(uuid7(), 70)
    assert books.balances() == {**before, "promotions": -70, "wallet": WALLET + 70}
    adjust(uuid7(), -30)
    assert books.balances() == {**before, "promotions": -40, "wallet": WALLET + 40}


@pytest.mark.parametrize("verb", VERBS)
def test_a_transfer_says_who_what_and_why(books: Books, verb: str) -> None:
    operation_id = uuid7()
    made = books.verbs()[verb](operation_id, 70)
    kept = Transfer.objects.get(pk=operation_id)
    people = {"grant": books.alice, "reclaim": books.alice}
    assert made == kept
    assert (kept.kind, kept.amount_nanos) == (verb, 70)
    assert kept.actor_id == people.get(verb, books.operator).pk
    assert kept.reason == ("" if verb in people else "Agreed")
    assert kept.call_id is None


def test_another_organizations_accounts_stay_as_they_are(books: Books) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    foreign = services.create_organization(charlie, "Crane & Sons")
    services.create_group(foreign, "Support", charlie)
    for verb in books.verbs().values():
        verb(uuid7(), 70)
    balances = Account.objects.filter(organization=foreign).values_list("balance_nanos", flat=True)
    assert list(balances) == [0] * 6


# Once


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_operation_a_second_time_moves_nothing(books: Books, verb: str) -> None:
    operation_id = uuid7()
    first = books.verbs()[verb](operation_id, 70)
    after, count = books.balances(), Transfer.objects.count()
    assert books.verbs()[verb](operation_id, 70) == first
    assert books.balances() == after
    assert Transfer.objects.count() == count


def test_a_repeat_is_answered_even_when_the_money_has_gone_since(books: Books) -> None:
    operation_id = uuid7()
    first = ledger.grant(books.second, POOL, operation_id=operation_id, actor=books.alice)
    assert ledger.grant(books.second, POOL, operation_id=operation_id, actor=books.alice) == first


@pytest.mark.parametrize("other", ["amount", "group", "verb", "sign"])
def test_an_operation_id_used_for_another_move_is_refused(books: Books, other: str) -> None:
    operation_id, verbs = uuid7(), books.verbs()
    verbs["adjust" if other == "sign" else "grant"](operation_id, 70)
    after = books.balances()
    second = {
        "amount": partial(verbs["grant"], operation_id, 71),
        "group": partial(
            ledger.grant, books.second, 70, operation_id=operation_id, actor=books.alice
        ),
        "verb": partial(verbs["refund"], operation_id, 70),
        "sign": partial(verbs["adjust"], operation_id, -70),
    }
    with pytest.raises(OperationConflict):
        second[other]()
    assert books.balances() == after


# What is refused


@pytest.mark.parametrize(
    ("verb", "amount", "available"),
    [
        ("grant", POOL + 1, POOL),
        ("reclaim", WALLET + 1, WALLET),
        ("adjust", -(WALLET + 1), WALLET),
    ],
)
def test_more_than_there_is_cannot_be_moved(
    books: Books, verb: str, amount: int, available: int
) -> None:
    before = books.balances()
    with pytest.raises(InsufficientCredit) as refused:
        books.verbs()[verb](uuid7(), amount)
    assert (refused.value.available_nanos, refused.value.amount_nanos) == (available, abs(amount))
    assert books.balances() == before


@pytest.mark.parametrize(("verb", "amount"), [("grant", POOL), ("reclaim", WALLET)])
def test_all_there_is_can_be_moved(books: Books, verb: str, amount: int) -> None:
    books.verbs()[verb](uuid7(), amount)
    assert {"grant": "pool", "reclaim": "wallet"}[verb] not in books.balances()


@pytest.mark.parametrize(("verb", "sign"), [("reclaim", 1), ("adjust", -1)])
def test_what_is_held_cannot_be_taken_from_a_wallet(books: Books, verb: str, sign: int) -> None:
    hold(books.group, 1_000)
    with pytest.raises(InsufficientCredit) as refused:
        books.verbs()[verb](uuid7(), sign * (WALLET - 1_000 + 1))
    assert refused.value.available_nanos == WALLET - 1_000
    books.verbs()[verb](uuid7(), sign * (WALLET - 1_000))
    assert books.balances()["wallet"] == 1_000


def test_what_a_credit_line_lends_cannot_be_reclaimed(books: Books) -> None:
    Account.objects.filter(group=books.group).update(credit_line_nanos=1_000)
    with pytest.raises(InsufficientCredit) as refused:
        books.verbs()["reclaim"](uuid7(), WALLET + 1)
    assert refused.value.available_nanos == WALLET
    hold(books.group, WALLET + 500)
    with pytest.raises(InsufficientCredit) as refused:
        books.verbs()["reclaim"](uuid7(), 1)
    assert refused.value.available_nanos == 0


@pytest.mark.parametrize(
    ("verb", "amount"),
    [
        *((verb, amount) for verb in VERBS for amount in (0, NANOS_MAX, -NANOS_MAX)),
        *((verb, -1) for verb in VERBS if verb != "adjust"),
    ],
)
def test_amounts_the_ledger_cannot_hold_are_refused(books: Books, verb: str, amount: int) -> None:
    before = books.balances()
    with pytest.raises(InvalidAmount):
        books.verbs()[verb](uuid7(), amount)
    assert books.balances() == before


def test_the_largest_amount_fits(books: Books) -> None:
    books.verbs()["deposit"](uuid7(), NANOS_MAX - 1)
    assert books.balances()["pool"] == POOL + NANOS_MAX - 1


def test_every_refusal_of_the_ledger_can_be_caught_as_one() -> None:
    for refusal in (InsufficientCredit, InvalidAmount, NotRefundable, OperationConflict):
        assert issubclass(refusal, LedgerError)


@pytest.mark.parametrize("verb", VERBS)
def test_a_fraction_of_a_nano_is_refused(books: Books, verb: str) -> None:
    before, amount = books.balances(), 1.5
    with pytest.raises(InvalidAmount):
        books.verbs()[verb](uuid7(), amount)  # type: ignore[arg-type]
    assert books.balances() == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_operation_cannot_take_the_id_of_a_call_that_is_still_to_be_charged(
    books: Books, verb: str
) -> None:
    """Callers read the id in x-request-id; the capture of the call needs it."""
    call_id, wallet = hold(books.group, 1_000), Account.objects.wallet_of(books.group).pk
    with pytest.raises(OperationConflict):
        books.verbs()[verb](call_id, 1)
    batch((bank.Settle(call_id, wallet, 700),), ())
    assert books.balances()["wallet"] == WALLET - 700


def test_revenue_cannot_be_refunded_below_zero(books: Books) -> None:
    with pytest.raises(InsufficientCredit) as refused:
        books.verbs()["refund"](uuid7(), CHARGED + 1)
    assert refused.value.available_nanos == CHARGED


def refund(books: Books, amount: int, **fields: Any) -> Transfer:
    """Of the books' call, from its wallet, unless the fields say otherwise."""
    values = {"operation_id": uuid7(), "call_id": books.call_id, "group": books.group, **fields}
    group = values.pop("group")
    return ledger.refund(group, amount, actor=books.operator, reason="Outage", **values)


def test_a_call_can_be_refunded_up_to_its_charge(books: Books) -> None:
    with pytest.raises(NotRefundable) as refused:
        refund(books, CHARGED + 1)
    assert (refused.value.refundable_nanos, refused.value.amount_nanos) == (CHARGED, CHARGED + 1)
    refund(books, CHARGED)
    assert "revenue" not in books.balances()


@pytest.mark.parametrize("why", ["again", "another wallet", "never charged"])
def test_a_call_is_refunded_once_and_to_the_wallet_that_paid(books: Books, why: str) -> None:
    refund(books, 5) if why == "again" else None
    fields = {"another wallet": {"group": books.second}, "never charged": {"call_id": uuid7()}}
    before = books.balances()
    with pytest.raises(NotRefundable):
        refund(books, 5, **fields.get(why, {}))
    assert books.balances() == before


def test_the_same_operation_for_another_call_is_refused(books: Books) -> None:
    operation_id = uuid7()
    refund(books, 5, operation_id=operation_id)
    with pytest.raises(OperationConflict):
        refund(books, 5, operation_id=operation_id, call_id=uuid7())


# At the same time, on connections of their own


@pytest.fixture
def shared(fresh_world: World, django_db_blocker: Any) -> Any:
    """Books in a database that many connections see."""
    with orm_on(fresh_world.database, django_db_blocker):
        (made,) = in_parallel(make_books)
        assert isinstance(made, Books), made
        yield made
        with connect(fresh_world.database) as checking:
            assert violations(checking) == {}


def balances_of(shared: Books) -> dict[str, int]:
    (found,) = in_parallel(shared.balances)
    assert isinstance(found, dict), found
    return found


@pytest.mark.parametrize("verb", ["deposit", "reclaim"])
def test_a_double_submission_on_four_connections_moves_once(shared: Books, verb: str) -> None:
    moved = {"deposit": ("pool", 70), "reclaim": ("wallet", -70)}
    kind, change = moved[verb]
    expected = balances_of(shared)[kind]
    for _ in range(8):
        submit = partial(shared.verbs()[verb], uuid4(), 70)
        answers = in_parallel(*[submit] * 4)
        assert len({answer.pk for answer in answers if isinstance(answer, Transfer)}) == 1, answers
        assert all(isinstance(answer, Transfer) for answer in answers), answers
        expected += change
    assert balances_of(shared)[kind] == expected


def test_one_operation_id_in_two_organizations_at_once_is_a_conflict_for_one(
    shared: Books,
) -> None:
    def foreign() -> Organization:
        charlie = User.objects.create_user("charlie@example.com")
        return services.create_organization(charlie, "Crane & Sons")

    (organization,) = in_parallel(foreign)
    assert isinstance(organization, Organization), organization
    for _ in range(8):
        deposit = partial(ledger.deposit, operation_id=uuid4(), actor=shared.operator)
        answers = in_parallel(
            partial(deposit, shared.organization, 5), partial(deposit, organization, 5)
        )
        kinds = {type(answer) for answer in answers}
        assert kinds == {Transfer, OperationConflict}, answers


def test_of_eight_parallel_grants_from_a_pool_for_five_exactly_five_are_made(
    shared: Books,
) -> None:
    def grant(group: Group) -> Transfer:
        return ledger.grant(group, POOL // 5, operation_id=uuid7(), actor=shared.alice)

    groups = (shared.group, shared.second)
    answers = in_parallel(*(partial(grant, groups[number % 2]) for number in range(8)))
    made = [answer for answer in answers if isinstance(answer, Transfer)]
    assert len(made) == 5, answers
    assert sum(isinstance(answer, InsufficientCredit) for answer in answers) == 3, answers
    after = balances_of(shared)
    assert "pool" not in after
    assert after["wallet"] + after["second"] == WALLET + POOL


def test_grants_and_reclaims_of_the_same_group_do_not_block_each_other_for_good(
    shared: Books,
) -> None:
    def repeat(verb: str) -> int:
        for _ in range(30):
            shared.verbs()[verb](uuid7(), 10)
        return 30

    before = balances_of(shared)
    assert in_parallel(*(partial(repeat, verb) for verb in ("grant", "reclaim") * 2)) == [30] * 4
    assert balances_of(shared) == before
