"""Rows of one statement on a pool of connections."""

from collections.abc import Sequence
from typing import Any

from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[Any]


async def fetch_rows(
    pool: Pool, query: str, parameters: Sequence[Any] | dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows by column name; the statement is committed by itself."""
    async with pool.connection() as connection:
        cursor = await connection.execute(query, parameters)
        rows: list[Any] = await cursor.fetchall()
        return rows
