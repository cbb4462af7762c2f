"""`make bench`: billed calls per second, what they add to the provider's own time, and what they cost in CPU.

Everything runs on this machine: PostgreSQL with durable commits, the simulator, one gateway process and the loader.
The figures of one run belong together; compare ratios, not machines.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import tests.environment  # noqa: F401 - secrets for a throw-away installation, before settings are read
from benchmarks.loader import Result, encode_request, run_load
from config.embedded import EmbeddedPostgres
from simulator.process import SimulatorProcess
from tests.world import GatewayProcess, Tenant, World, run_command

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BODY = b'{"model":"gpt-5.4-nano","messages":[{"role":"user","content":"Hello there, how are you?"}],"max_tokens":64%s}'


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its children have used so far."""
    total = 0.0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def measure(
    parts: dict[str, int], port: int, requests: Sequence[bytes], clients: int, seconds: float
) -> dict[str, float]:
    """One round: calls/s, latency, CPU milliseconds per 1,000 calls for each part."""
    before = {name: cpu_s(pid) for name, pid in parts.items()}
    result: Result = uvloop.run(run_load(port, requests, clients, seconds))
    calls = len(result.latencies_s)
    if set(result.statuses) != {200}:
        sys.exit(f"not every call succeeded: {dict(result.statuses)}")
    figures = {
        "calls/s": result.rate,
        "p50 ms": result.percentile_ms(50),
        "p99 ms": result.percentile_ms(99),
    }
    for name, pid in parts.items():
        figures[f"{name} CPU ms/1000"] = (cpu_s(pid) - before[name]) * 1e6 / calls
    figures["calls"] = calls
    return figures


def show(title: str, rounds: list[dict[str, float]]) -> dict[str, float]:
    """Print the medians of the rounds, and answer them."""
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    shown = ", ".join(f"{name} {value:.4g}" for name, value in medians.items() if name != "calls")
    sys.stdout.write(f"{title}: {shown}\n")
    sys.stdout.flush()
    return medians


def check_books(world: World, tenant: Tenant) -> None:
    """billed == served: each call that the simulator served whole is charged once, with its own figures."""
    served = {
        e["call_id"]: e["usage"]
        for e in world.simulator.entries()
        if e["outcome"] == "completed" and e["call_id"]
    }
    billed = {f"call_{r['id'].hex}": r for r in world.records(tenant) if r["amount_nanos"]}
    same = served.keys() == billed.keys() and all(
        served[call_id]["completion_tokens"] == record["output_tokens"]
        for call_id, record in billed.items()
    )
    sys.stdout.write(f"billed {len(billed)} == served {len(served)}: {'yes' if same else 'NO'}\n")
    world.audit()
    sys.stdout.write("audit: clean\n")
    if not same:
        sys.exit(1)


def run(
    world: World, gateway: GatewayProcess, postgres_pid: int, seconds: float, rounds: int
) -> None:
    tenant = world.add_tenant("Alice", balance="1000")
    simulator = world.simulator
    parts = {"gateway": gateway.worker_pid, "PostgreSQL": postgres_pid, "simulator": simulator.pid}
    path = "/v1/chat/completions"
    plain = [encode_request(gateway.port, path, tenant.key, BODY % b"")]
    asyncio.run(run_load(gateway.port, plain, 16, 1.0))
    for clients in (1, 16, 64, 256):
        found = [measure(parts, gateway.port, plain, clients, seconds) for _ in range(rounds)]
        show(f"{clients:>3} clients", found)
    # Sixteen clients that were answered together ask together again; a spread of provider times keeps them apart.
    together, apart = [100] * 16, [70 + 4 * step for step in range(16)]
    port = int(simulator.base_url.rsplit(":", 1)[1].split("/")[0])
    for title, times_ms in (("in step", together), ("apart", apart)):
        bodies = [BODY % b',"simulate":{"total_delay_s":%.3f}' % (ms / 1000) for ms in times_ms]
        through = [encode_request(gateway.port, path, tenant.key, body) for body in bodies]
        direct = [encode_request(port, path, simulator.api_key, body) for body in bodies]
        added = []
        for _ in range(rounds):
            with_us = measure(parts, gateway.port, through, 16, seconds)
            without = measure({}, port, direct, 16, seconds)
            gap = with_us["p50 ms"] - without["p50 ms"]
            added.append({"added p50 ms": gap, "own p50 ms": without["p50 ms"]})
        show(f" 16 clients {title}, a provider of 100 ms", added)
    check_books(world, tenant)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as home:
        Path(home).chmod(0o711)  # as root PostgreSQL runs as nobody, who has to walk to its data
        with EmbeddedPostgres(Path(home)) as server, SimulatorProcess() as simulator:
            for command in (["migrate", "-v0"], ["load_price_book"]):
                done = run_command(server.url, *command)
                if done.returncode:
                    sys.exit(done.stderr)
            postgres = server.url.replace("/tollgate?", "/postgres?")
            os.environ["DATABASE_URL"] = server.url
            with World(postgres, "tollgate", simulator) as world:
                assert server.pid is not None
                run(world, world.start_gateway(), server.pid, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
