"""A site whose gateway reaches the simulator as its vendor, with a worker for image tasks and people who pay there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.contrib.auth.hashers import make_password

from simulator.process import SimulatorProcess
from tests.browser.conftest import Site
from tests.flows.task_processes import TASK_WORKER, Crew
from tests.people import PASSWORD
from tests.world import Tenant, World


class Place(NamedTuple):
    """A site whose gateway reaches the simulator, and who pays there."""

    site: Site
    world: World
    payer: Tenant
    email: str

    def charges(self) -> list[int]:
        """What the calls of the payer's group cost so far, oldest first."""
        return [row["amount_nanos"] for row in self.world.records(self.payer)]


@contextmanager
def open_place(
    server_url: str, template_database: str, simulator: SimulatorProcess, home: Path
) -> Iterator[Place]:
    """Open until left: a gateway and a task worker with its files in `home`, and Alice, who can sign in."""
    with World(server_url, template_database, simulator) as world:
        world.put_other_vendors()
        for vendor in ("topaz", "black-forest-labs"):
            world.put_channel(vendor, simulator.base_url.removesuffix("/v1"), simulator.api_key)
        payer = world.add_tenant("Alice", balance="10")
        email = let_in(world, payer)
        gateway = world.start_gateway(TOLLGATE_HOME=str(home))  # where its nudges reach the worker
        with Crew(world, home, 2) as crew:
            crew.start(TASK_WORKER)
            yield Place(Site(gateway.root, world.database, {}), world, payer, email)


def let_in(world: World, tenant: Tenant) -> str:
    """Let the tenant's user sign in, as an admin of the organization and a manager of the group; his e-mail address."""
    database = world.database
    user = database.one("SELECT created_by_id FROM accounts_apikey WHERE id = %s", tenant.key_id)
    database.query(
        "UPDATE accounts_user SET password = %s WHERE id = %s", make_password(PASSWORD), user
    )
    for table, role, place_id in (
        ("membership (organization_id", "admin", tenant.organization_id),
        ("groupmembership (group_id", "manager", tenant.group_id),
    ):
        database.query(
            f"INSERT INTO accounts_{table}, user_id, role, joined_at) VALUES (%s, %s, %s, now())",
            place_id,
            user,
            role,
        )
    return str(database.one("SELECT email FROM accounts_user WHERE id = %s", user))
