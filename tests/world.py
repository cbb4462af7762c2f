"""A real installation for one test: a database of its own, gateway processes, a simulator, and three people's keys.

Alice owns the organization and her group; Bob is her colleague in another group; Charlie is an outsider.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from accounts import keys
from accounts.ids import uuid7
from billing.money import parse_usd
from config.process import spawn
from gateway.audit import INVARIANTS
from gateway.credentials import seal
from gateway.watch import ROUND_S
from simulator.process import SimulatorProcess

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 20.0
OTHER_VENDORS = ("anthropic", "gemini", "upstage", "deepseek")


class Tenant(NamedTuple):
    """One person's group with a key and a wallet."""

    name: str
    organization_id: UUID
    group_id: UUID
    key_id: UUID
    key: str
    wallet_id: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_command(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`manage.py ...` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Database:
    """A database cloned from a migrated template; dropped at the end."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self.name = f"world_{uuid4().hex[:12]}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{template}"')
        fields = {**conninfo_to_dict(server_url), "dbname": self.name}
        host, user = fields.get("host", ""), fields.get("user", "")
        self.url = make_conninfo(**fields)
        if host.startswith("/"):
            self.url = f"postgresql:///{self.name}?host={host}&user={user}"

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows of a committed statement."""
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def one(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row."""
        return next(iter(self.query(sql, *parameters)[0].values()))

    def drop(self) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class GatewayProcess:
    """One real gateway process: granian with one worker. `settings` are environment variables."""

    def __init__(self, database_url: str, **settings: str) -> None:
        self.port = free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.root}/v1"
        self._log = Path(os.environ["TOLLGATE_HOME"], f"gateway-{self.port}.log")
        self._environment = {**os.environ, "DATABASE_URL": database_url, **settings}
        self.start()

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--loop", "uvloop", "--no-ws"]
        command += [
            "--log-level",
            "warning",
            "--workers-kill-timeout",
            "10s",
            "config.asgi:application",
        ]
        with self._log.open("ab") as log:
            self._process = spawn(
                command,
                signal.SIGKILL,  # an aborted test run must not leave a gateway behind
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.root}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                assert self._process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(f"the gateway is not ready: {self.log}")

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def worker_pid(self) -> int:
        """The process that does the work (granian's own parent only supervises)."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in children.read_text().split():
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise AssertionError("no worker")

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """SIGTERM, as a supervisor would."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the gateway did not stop: {self.log}") from None


class World:
    """Everything of one test. Use as a context manager."""

    def __init__(self, server_url: str, template: str, simulator: SimulatorProcess) -> None:
        self.database = Database(server_url, template)
        self.simulator = simulator
        self.gateways: list[GatewayProcess] = []
        self.put_channel("openai", simulator.base_url, simulator.api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for gateway in self.gateways:
            gateway.stop()
        self.database.drop()

    def start_gateway(self, **settings: str) -> GatewayProcess:
        """One more gateway process on this world's database."""
        gateway = GatewayProcess(self.database.url, **settings)
        self.gateways.append(gateway)
        return gateway

    def put_other_vendors(self) -> None:
        """Channels to the simulator at every other provider, each at the address that its dialect expects."""
        root = self.simulator.base_url.removesuffix("/v1")
        for provider in OTHER_VENDORS:
            base_url = f"{root}/v1beta/openai" if provider == "gemini" else f"{root}/v1"
            self.put_channel(provider, base_url, self.simulator.api_key)

    def renew_channels(self) -> None:
        """Make every gateway forget what it has learned of the channels' health: it belongs to an address, and a slash
        at its end makes it another one."""
        self.database.query(
            "UPDATE gateway_channel SET base_url = CASE WHEN base_url LIKE '%%/' THEN rtrim(base_url, '/')"
            " ELSE base_url || '/' END"
        )
        time.sleep(3 * ROUND_S)

    def put_channel(
        self,
        provider: str,
        base_url: str,
        credential: str,
        name: str = "simulator",
        priority: int = 0,
    ) -> None:
        """A channel at the provider."""
        from django.conf import settings

        sealed = seal(credential, settings.CREDENTIAL_KEY, f"{provider}:{name}")
        self.database.query(
            "INSERT INTO gateway_channel (provider_id, name, base_url, credential, priority, weight, is_enabled,"
            " created_at) VALUES (%s, %s, %s, %s, %s, 1, true, now())",
            provider,
            name,
            base_url,
            sealed,
            priority,
        )

    def add_tenant(
        self, name: str, balance: str = "0", organization_id: UUID | None = None
    ) -> Tenant:
        """A group with a key and that much in its wallet; in a new organization unless one is given."""
        from django.conf import settings

        database = self.database
        user_id = database.one(
            "INSERT INTO accounts_user (email, name, password, is_active, is_staff, is_superuser, joined_at)"
            " VALUES (%s, %s, '', true, false, false, now()) RETURNING id",
            f"{name.lower()}-{uuid4().hex[:6]}@example.com",
            name,
        )
        if organization_id is None:
            organization_id = uuid7()
            database.query(
                "INSERT INTO accounts_organization (id, name, created_at) VALUES (%s, %s, now())",
                organization_id,
                f"{name}'s organization",
            )
        group_id, key_id, minted = uuid7(), uuid7(), keys.mint("tollgate")
        database.query(
            "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, %s, now())",
            group_id,
            organization_id,
            f"{name}'s group",
        )
        database.query(
            "INSERT INTO accounts_apikey (id, group_id, created_by_id, name, public_id, prefix, digest, created_at)"
            " VALUES (%s, %s, %s, %s, %s, 'tollgate', %s, now())",
            key_id,
            group_id,
            user_id,
            f"{name}'s key",
            minted.public_id,
            keys.digest(minted.text, settings.KEY_PEPPER),
        )
        wallet_id = database.one("SELECT id FROM billing_account WHERE group_id = %s", group_id)
        tenant = Tenant(name, organization_id, group_id, key_id, minted.text, wallet_id)
        if parse_usd(balance):
            self.fund(tenant, parse_usd(balance))
        return tenant

    def fund(self, tenant: Tenant, amount_nanos: int) -> None:
        """Deposit and grant, as operators and admins do, through the ledger's own tables."""
        accounts = {
            row["kind"]: row["id"]
            for row in self.database.query(
                "SELECT kind, id FROM billing_account WHERE organization_id = %s AND group_id IS NULL",
                tenant.organization_id,
            )
        }
        for kind, debit, credit in (
            ("deposit", accounts["deposits"], accounts["pool"]),
            ("grant", accounts["pool"], tenant.wallet_id),
        ):
            self.database.query(
                "WITH moved AS (INSERT INTO billing_transfer (id, kind, debit_account_id, credit_account_id,"
                " amount_nanos, reason) VALUES (gen_random_uuid(), %s, %s, %s, %s, '') RETURNING *)"
                " UPDATE billing_account a SET balance_nanos = a.balance_nanos"
                " + CASE WHEN a.id = m.credit_account_id THEN m.amount_nanos ELSE -m.amount_nanos END"
                " FROM moved m WHERE a.id IN (m.debit_account_id, m.credit_account_id)",
                kind,
                debit,
                credit,
                amount_nanos,
            )

    def wallet(self, tenant: Tenant) -> dict[str, Any]:
        """The account row of the tenant's wallet."""
        return self.database.query("SELECT * FROM billing_account WHERE id = %s", tenant.wallet_id)[
            0
        ]

    def records(self, tenant: Tenant) -> list[dict[str, Any]]:
        """The tenant's call records, oldest first."""
        return self.database.query(
            "SELECT * FROM gateway_callrecord WHERE group_id = %s ORDER BY id", tenant.group_id
        )

    def audit(self) -> None:
        """Asserts that every invariant that `manage.py audit` proves holds, in one snapshot."""
        with psycopg.connect(self.database.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            counts = {}
            for invariant in INVARIANTS:
                row = connection.execute(invariant.sql).fetchone()  # type: ignore[arg-type]
                counts[invariant.name] = row[0] if row else None
        assert set(counts.values()) == {0}, counts


def client(gateway: GatewayProcess, tenant: Tenant | None = None) -> httpx.Client:
    """A plain HTTP client with the tenant's key."""
    headers = {"authorization": f"Bearer {tenant.key}"} if tenant else {}
    return httpx.Client(base_url=gateway.root, headers=headers, timeout=30, trust_env=False)
