"""config.run with a plan of a test's own: `fake_site.py PLAN [OPTIONS]`, PLAN being JSON.

Each entry is {"step": NAME, "argv": [...]}, {"service": NAME, "argv": [...], "stop_timeout_s": S},
{"database": NAME}, {"simulator": true} or {"web": "module:app"}.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from config import run
from config.embedded import EmbeddedPostgres
from config.run_supervisor import Database, HttpProbe, Service, Step


def main(plan: list[dict[str, Any]], options: list[str]) -> int:
    def make_plan(
        site: run.Site, environ: Mapping[str, str], server: EmbeddedPostgres | None
    ) -> list[Step | Service | Database]:
        return [entry_of(each, site, environ, server) for each in plan]

    run.make_plan = make_plan
    return run.main(options)


def entry_of(
    each: dict[str, Any], site: run.Site, environ: Mapping[str, str], server: Any
) -> Step | Service | Database:
    if "step" in each:
        return Step(each["step"], tuple(each["argv"]))
    if "database" in each:
        return Database(each["database"], server)
    if "simulator" in each:
        return run.simulator(site, environ["TOLLGATE_SIMULATOR_KEY"])
    if "web" in each:
        probe = HttpProbe(site.reachable_host, site.port, "/readyz")
        return Service("web", run.granian(site, each["web"]), probe)
    return Service(each["service"], tuple(each["argv"]), None, 10, each.get("stop_timeout_s", 5))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
