"""Stands between a program and PostgreSQL, and can lose what the server answers."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class DatabaseProxy:
    """`url` leads to the database through the proxy.

    While `deaf` is set, what the server answers is thrown away: the program sees a silent server, and the server
    believes that it was heard. `deafen` does that to the connections there are, and new ones work.
    """

    def __init__(self, url: str, directory: str) -> None:
        self.deaf = False
        self._fields = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        self._directory = directory
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deafened: set[asyncio.StreamWriter] = set()
        self.url = make_conninfo(**{**self._fields, "host": directory, "port": "5432"})

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._serve, str(Path(self._directory, ".s.PGSQL.5432"))
        )

    async def close(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def deafen(self) -> None:
        """Lose what the server answers on the connections that are open now, until they end."""
        self._deafened |= self._writers

    def cut(self) -> None:
        """Close every connection that is open."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._fields.get("host", ""), int(self._fields.get("port", "5432"))
        if host.startswith("/"):
            server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            server = await asyncio.open_connection(host or "127.0.0.1", port)
        self._writers |= {writer, server[1]}
        for source, target, answers in ((reader, server[1], False), (server[0], writer, True)):
            task = asyncio.get_running_loop().create_task(self._pump(source, target, answers))
            self._tasks.add(task)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not (answers and (self.deaf or target in self._deafened)):
                    target.write(data)
        target.close()


@contextlib.asynccontextmanager
async def database_proxy(url: str) -> AsyncIterator[DatabaseProxy]:
    """A proxy in this event loop."""
    # Not in the test's own directory: the path of a Unix socket may have 107 bytes.
    directory = tempfile.mkdtemp(prefix="tg-")
    proxy = DatabaseProxy(url, directory)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
        shutil.rmtree(directory)
