"""What PostgreSQL refuses by itself, whoever asks; each test's transaction is rolled back."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import (
    CheckViolation,
    ForeignKeyViolation,
    IntegrityConstraintViolation,
    NotNullViolation,
    NumericValueOutOfRange,
    UniqueViolation,
)

from accounts.ids import uuid7
from billing.models import NANOS_MAX
from tests.billing.bank import (
    Connection,
    Hold,
    Settle,
    Tenancy,
    account_of,
    apply,
    connect,
    hold_of,
    new_owner,
    open_tenancy,
    row_of,
    transfers_of,
)
from tests.world import World

PRICE = (
    "INSERT INTO billing_price (model, effective_from, sell_bps, list_is_estimated, source)"
    " VALUES (%s, now(), %s, false, 'a test') RETURNING id"
)
RATE = (
    "INSERT INTO billing_pricerate (price_id, tier, above_input_tokens, bucket, list_nanos, per, sell_bps)"
    " VALUES (%(price)s, %(tier)s, %(above)s, %(bucket)s, %(list)s, %(per)s, %(bps)s)"
)
TRANSFER = (
    "INSERT INTO billing_transfer (id, kind, debit_account_id, credit_account_id, amount_nanos, call_id, reason)"
    " VALUES (%s, %s, %s, %s, %s, %s, '')"
)
HOLD = (
    "INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, resolved_at)"
    " VALUES (gen_random_uuid(), %s, 1, %s, %s, '', %s)"
)


class Bank(NamedTuple):
    """A wallet with 1,000 nanos, an open hold of 100, a captured one of 70, and a price with a rate."""

    connection: Connection
    tenancy: Tenancy
    opened: UUID
    captured: UUID
    price: int

    @property
    def wallet(self) -> int:
        return self.tenancy.wallets[0]

    @property
    def pool(self) -> int:
        return self.tenancy.platform["pool"]

    def execute(self, sql: str, *parameters: Any) -> None:
        self.connection.execute(sql, parameters)

    def transfer(self, amount: int, kind: str = "grant", **fields: Any) -> None:
        values = {"id": uuid7(), "debit": self.pool, "credit": self.wallet, "call": None, **fields}
        self.execute(
            TRANSFER, values["id"], kind, values["debit"], values["credit"], amount, values["call"]
        )


def rate(price: int, **fields: Any) -> dict[str, Any]:
    values = {"tier": "standard", "above": 0, "bucket": "input", "list": 5, "per": 1, "bps": None}
    return {"price": price, **values, **fields}


@pytest.fixture
def bank(world: World) -> Iterator[Bank]:
    with (
        connect(world.database) as connection,
        connection.transaction(force_rollback=True),
    ):
        tenancy, owner = open_tenancy(connection, 1_000), new_owner(connection)
        opened, captured = uuid7(), uuid7()
        wallet = tenancy.wallets[0]
        apply(connection, owner, holds=[Hold(opened, wallet, 100), Hold(captured, wallet, 70)])
        apply(connection, owner, [Settle(captured, wallet, 70)])
        price = row_of(connection, PRICE, "a/b", 5000)["id"]
        connection.execute(RATE, rate(price))
        # Else the foreign keys' deferred checks would stand in the way of a TRUNCATE before its trigger does.
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        yield Bank(connection, tenancy, opened, captured, price)


# What is written stays


@pytest.mark.parametrize(
    "table",
    ["billing_transfer", "billing_price", "billing_pricerate", "billing_hold", "billing_account"],
)
@pytest.mark.parametrize("how", ["DELETE FROM", "TRUNCATE"])
def test_ledger_and_price_book_cannot_be_emptied(bank: Bank, table: str, how: str) -> None:
    cascade = " CASCADE" if how == "TRUNCATE" else ""
    with pytest.raises(
        IntegrityConstraintViolation, match=rf"{table} is immutable: {how.split()[0]}"
    ):
        bank.execute(f"{how} {table}{cascade}")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("billing_transfer", "amount_nanos = amount_nanos + 1"),
        ("billing_transfer", "credit_account_id = 1"),
        ("billing_transfer", "reason = 'another'"),
        ("billing_transfer", "created_at = now()"),
        ("billing_transfer", "reason = reason"),
        ("billing_account", "kind = 'promotions' WHERE kind = 'revenue'"),
        ("billing_account", "group_id = NULL WHERE kind = 'wallet'"),
        ("billing_account", "organization_id = gen_random_uuid()"),
        ("billing_account", "id = id + 1000"),
        ("billing_price", "sell_bps = 0"),
        ("billing_price", "effective_from = now() - interval '1 year'"),
        ("billing_price", "created_at = now()"),
        ("billing_pricerate", "list_nanos = 0"),
        ("billing_pricerate", "sell_bps = 1"),
    ],
)
def test_transfers_prices_rates_and_what_an_account_is_cannot_be_changed(
    bank: Bank, table: str, change: str
) -> None:
    with pytest.raises(IntegrityConstraintViolation, match=f"{table} is immutable: UPDATE refused"):
        bank.execute(f"UPDATE {table} SET {change}")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'open', resolved_at = NULL",
        "state = 'released'",
        "amount_nanos = 1",
        "memo = 'another'",
        "resolved_at = now()",
    ],
)
def test_a_hold_that_has_ended_cannot_be_changed(bank: Bank, change: str) -> None:
    with pytest.raises(IntegrityConstraintViolation, match="billing_hold is immutable"):
        bank.execute(f"UPDATE billing_hold SET {change} WHERE id = %s", bank.captured)


@pytest.mark.parametrize(
    "change",
    [
        "amount_nanos = 99",
        "account_id = account_id + 1",
        "owner_id = owner_id + 1",
        "id = gen_random_uuid()",
        "created_at = created_at - interval '1 day'",
    ],
)
def test_an_open_hold_keeps_its_call_amount_wallet_and_owner(bank: Bank, change: str) -> None:
    with pytest.raises(IntegrityConstraintViolation, match="billing_hold is immutable"):
        bank.execute(f"UPDATE billing_hold SET {change} WHERE id = %s", bank.opened)


def test_a_rate_cannot_join_a_price_that_an_earlier_transaction_made(world: World) -> None:
    with connect(world.database) as connection:
        with connection.transaction():
            price = row_of(connection, PRICE, f"late/{uuid7()}", 5000)["id"]
            connection.execute(RATE, rate(price))
            connection.execute(RATE, rate(price, bucket="output"))
        with pytest.raises(IntegrityConstraintViolation, match=f"price {price} is complete"):
            connection.execute(RATE, rate(price, bucket="cached_input"))


def test_a_rate_cannot_be_backdated_into_a_price_by_its_time_of_making(world: World) -> None:
    sql = PRICE.replace("source)", "source, created_at)").replace("'a test')", "'', '2099-01-01')")
    with connect(world.database) as connection:
        price = row_of(connection, sql, f"dated/{uuid7()}", 5000)["id"]
        with pytest.raises(IntegrityConstraintViolation, match="is complete"):
            connection.execute(RATE, rate(price))


# Transfers


@pytest.mark.parametrize("amount", [0, -1, -NANOS_MAX, NANOS_MAX])
def test_a_transfer_moves_a_positive_amount_that_the_ledger_can_hold(
    bank: Bank, amount: int
) -> None:
    with pytest.raises(CheckViolation, match="billing_transfer_positive"):
        bank.transfer(amount)


def test_a_transfer_has_two_sides(bank: Bank) -> None:
    with pytest.raises(CheckViolation, match="billing_transfer_moves"):
        bank.transfer(5, credit=bank.pool)


@pytest.mark.parametrize("side", ["debit", "credit"])
def test_a_transfer_cannot_lack_a_side(bank: Bank, side: str) -> None:
    missing: dict[str, Any] = {side: None}
    with pytest.raises(NotNullViolation, match=f"{side}_account_id"):
        bank.transfer(5, **missing)


def test_a_transfer_is_one_of_the_six_kinds(bank: Bank) -> None:
    with pytest.raises(CheckViolation, match="billing_transfer_kind"):
        bank.transfer(5, "gift")


def test_a_call_is_captured_once(bank: Bank) -> None:
    sides = {"debit": bank.wallet, "credit": bank.tenancy.platform["revenue"]}
    for transfer_id, refusal in (
        (bank.captured, "billing_transfer_pkey"),
        (uuid7(), "billing_transfer_captures_its_call"),
    ):
        with (
            pytest.raises((UniqueViolation, CheckViolation), match=refusal),
            bank.connection.transaction(),
        ):
            bank.transfer(70, "capture", id=transfer_id, call=bank.captured, **sides)
    assert len(transfers_of(bank.connection, bank.captured)) == 1


def test_a_capture_names_its_call(bank: Bank) -> None:
    sides = {"debit": bank.wallet, "credit": bank.tenancy.platform["revenue"]}
    with pytest.raises(CheckViolation, match="billing_transfer_captures_its_call"):
        bank.transfer(70, "capture", call=None, **sides)


def test_a_call_is_written_off_once(bank: Bank) -> None:
    sides = {
        "debit": bank.tenancy.platform["writeoffs"],
        "credit": bank.tenancy.platform["revenue"],
    }
    bank.transfer(5, "adjust", call=bank.captured, **sides)
    with pytest.raises(UniqueViolation, match="billing_transfer_once_per_call"):
        bank.transfer(5, "adjust", call=bank.captured, **sides)


# Accounts


def test_an_organization_has_its_five_accounts_from_its_first_moment(bank: Bank) -> None:
    rows = bank.connection.execute(
        "SELECT kind, group_id FROM billing_account WHERE organization_id = %s AND kind <> 'wallet'",
        (bank.tenancy.organization_id,),
    ).fetchall()
    kinds = ["deposits", "pool", "promotions", "revenue", "writeoffs"]
    assert sorted(row["kind"] for row in rows) == kinds
    assert {row["group_id"] for row in rows} == {None}


def test_a_group_has_an_empty_wallet_of_its_organization_from_its_first_moment(bank: Bank) -> None:
    group_id = uuid7()
    bank.execute(
        "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, 'New', now())",
        group_id,
        bank.tenancy.organization_id,
    )
    rows = bank.connection.execute(
        "SELECT * FROM billing_account WHERE group_id = %s", (group_id,)
    ).fetchall()
    assert [(row["kind"], row["organization_id"]) for row in rows] == [
        ("wallet", bank.tenancy.organization_id)
    ]
    numbers = {row[name] for row in rows for name in row if name.endswith("_nanos")}
    assert numbers == {0}


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("balance_nanos = 99", "never_overspent"),
        ("held_nanos = 931", "never_overspent"),
        ("balance_nanos = -1, held_nanos = 0", "never_overspent"),
        ("balance_nanos = 0, credit_line_nanos = 99", "never_overspent"),
        ("held_nanos = -1", "held_nonnegative"),
        ("credit_line_nanos = -1", "credit_line_nonnegative"),
    ],
)
def test_a_wallet_cannot_be_overspent_by_hand(bank: Bank, change: str, constraint: str) -> None:
    assert account_of(bank.connection, bank.wallet)["balance_nanos"] == 930
    with pytest.raises(CheckViolation, match=constraint):
        bank.execute(f"UPDATE billing_account SET {change} WHERE id = %s", bank.wallet)


def test_a_credit_line_lets_a_wallet_below_zero_as_far_as_it_goes(bank: Bank) -> None:
    sql = "UPDATE billing_account SET credit_line_nanos = 500, balance_nanos = %s WHERE id = %s"
    bank.execute(sql, -400, bank.wallet)  # 100 are held
    with pytest.raises(CheckViolation, match="never_overspent"):
        bank.execute(sql, -401, bank.wallet)


def test_revenue_is_never_below_zero(bank: Bank) -> None:
    with pytest.raises(CheckViolation, match="never_overspent"):
        bank.execute(
            "UPDATE billing_account SET balance_nanos = -1 WHERE id = %s",
            bank.tenancy.platform["revenue"],
        )


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("balance_nanos = -1", "never_overspent"),
        ("held_nanos = 1, balance_nanos = 9", "only_wallets_hold"),
        ("credit_line_nanos = 1", "only_wallets_hold"),
    ],
)
def test_a_pool_cannot_be_overspent_and_holds_nothing(
    bank: Bank, change: str, constraint: str
) -> None:
    with pytest.raises(CheckViolation, match=constraint):
        bank.execute(f"UPDATE billing_account SET {change} WHERE id = %s", bank.pool)


ACCOUNT = (
    "INSERT INTO billing_account (kind, organization_id, group_id, balance_nanos, held_nanos, credit_line_nanos)"
    " VALUES (%s, %s, %s, 0, 0, 0)"
)


@pytest.mark.parametrize(
    ("kind", "of_group", "constraint"),
    [
        ("wallet", False, "wallets_are_of_groups"),
        ("pool", True, "wallets_are_of_groups"),
        ("revenue", True, "wallets_are_of_groups"),
        ("purse", False, "billing_account_kind"),
    ],
)
def test_wallets_are_of_groups_and_all_other_accounts_are_not(
    bank: Bank, kind: str, of_group: bool, constraint: str
) -> None:
    group_id = bank.tenancy.group_ids[0] if of_group else None
    with pytest.raises(CheckViolation, match=constraint):
        bank.execute(ACCOUNT, kind, bank.tenancy.organization_id, group_id)


def test_there_is_one_wallet_for_a_group_and_one_account_of_a_kind(bank: Bank) -> None:
    organization_id, group_id = bank.tenancy.organization_id, bank.tenancy.group_ids[0]
    for kind, group in (("wallet", group_id), ("pool", None), ("revenue", None)):
        with pytest.raises(UniqueViolation), bank.connection.transaction():
            bank.execute(ACCOUNT, kind, organization_id, group)


def test_an_organization_or_a_group_with_accounts_cannot_be_deleted(bank: Bank) -> None:
    for table, key in (
        ("accounts_group", bank.tenancy.group_ids[0]),
        ("accounts_organization", bank.tenancy.organization_id),
    ):
        with pytest.raises(ForeignKeyViolation), bank.connection.transaction():
            bank.execute(f"DELETE FROM {table} WHERE id = %s", key)


# Holds


@pytest.mark.parametrize("amount", [0, -1, NANOS_MAX])
def test_a_hold_is_of_a_positive_amount(bank: Bank, amount: int) -> None:
    with pytest.raises(CheckViolation, match="billing_hold_positive"):
        bank.execute(HOLD, bank.wallet, amount, "open", None)


@pytest.mark.parametrize(
    ("state", "resolved_at"), [("open", "2026-01-01"), ("captured", None), ("lost", "2026-01-01")]
)
def test_a_hold_is_open_or_ended_at_a_time(bank: Bank, state: str, resolved_at: str | None) -> None:
    with pytest.raises(CheckViolation, match="billing_hold_state"):
        bank.execute(HOLD, bank.wallet, 5, state, resolved_at)


def test_a_refused_change_leaves_the_hold_as_it_was(bank: Bank) -> None:
    before = hold_of(bank.connection, bank.captured)
    with pytest.raises(psycopg.Error), bank.connection.transaction():
        bank.execute("UPDATE billing_hold SET memo = 'x'")
    assert hold_of(bank.connection, bank.captured) == before


# The price book


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"list": -1}, "billing_pricerate_list"),
        ({"list": 10**15 + 1}, "billing_pricerate_list"),
        ({"bps": -1}, "billing_pricerate_sell_bps"),
        ({"bps": 100_001}, "billing_pricerate_sell_bps"),
        ({"per": 0}, "billing_pricerate_per"),
        ({"per": 1_000}, "billing_pricerate_per"),
        ({"tier": "cheap"}, "billing_pricerate_tier"),
        ({"above": -1}, "billing_pricerate_threshold"),
    ],
)
def test_an_absurd_rate_cannot_be_saved(
    bank: Bank, fields: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(CheckViolation, match=constraint):
        bank.connection.execute(RATE, rate(bank.price, **{"bucket": "output", **fields}))


@pytest.mark.parametrize("list_nanos", [0, 10**15])
def test_the_bounds_of_a_list_price_can_be_saved(bank: Bank, list_nanos: int) -> None:
    bank.connection.execute(RATE, rate(bank.price, bucket="output", list=list_nanos))


def test_an_absent_list_price_or_one_beyond_all_numbers_cannot_be_saved(bank: Bank) -> None:
    for list_nanos, refusal in ((None, NotNullViolation), (2**63, NumericValueOutOfRange)):
        with pytest.raises(refusal), bank.connection.transaction():
            bank.connection.execute(RATE, rate(bank.price, bucket="output", list=list_nanos))


def test_a_bucket_has_one_rate_for_each_tier_and_threshold(bank: Bank) -> None:
    bank.connection.execute(RATE, rate(bank.price, tier="flex"))
    bank.connection.execute(RATE, rate(bank.price, above=272_000))
    with pytest.raises(UniqueViolation, match="billing_pricerate_once"):
        bank.connection.execute(RATE, rate(bank.price))


@pytest.mark.parametrize("sell_bps", [-1, 100_001])
def test_a_share_of_list_price_is_between_nothing_and_ten_times(bank: Bank, sell_bps: int) -> None:
    with pytest.raises(CheckViolation, match="billing_price_sell_bps"):
        bank.execute(PRICE, "a/c", sell_bps)


def test_a_model_has_one_price_for_a_moment(bank: Bank) -> None:
    with pytest.raises(UniqueViolation, match="billing_price_once"):
        bank.execute(PRICE, "a/b", 5000)
