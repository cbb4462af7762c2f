"""Whether anything was written to the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.db import connection, transaction

# What each visit may write: counts of attempts, and where somebody was seen last.
IGNORED = frozenset({"django_session", "tollgate_cache", "usersessions_usersession"})


def tables() -> list[str]:
    """Every table of a model, ours and those of the apps that we use."""
    names = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    return sorted(names - IGNORED)


def fingerprint() -> dict[str, str]:
    """By table: how many rows it has, and the latest (sub)transaction that wrote one of them.

    Of what was written in a subtransaction since: an insertion or an update brings a later number, a deletion another
    count, and an update that changes no value is seen too.
    """
    parts = [
        f"SELECT '{name}', count(*) || ' ' || coalesce(max(xmin::text::bigint), 0) FROM \"{name}\""
        for name in tables()
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return dict(cursor.fetchall())


def writes_since(before: dict[str, str]) -> list[str]:
    """The tables that were written to since then."""
    now = fingerprint()
    return sorted(table for table in now if now[table] != before[table])


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens within is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
