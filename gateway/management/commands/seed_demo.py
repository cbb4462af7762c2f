"""Fills an installation with what a newcomer needs for a first call."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from gateway import demo


class Command(BaseCommand):
    help = "Make demonstration users, an organization with credits, an API key and channels; write them to a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--simulator-url", required=True, help="the simulator's base URL, ending in /v1 or not"
        )
        parser.add_argument("--simulator-key", required=True)
        parser.add_argument("--base-url", required=True, help="this installation's own address")
        parser.add_argument("--output", required=True, type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        simulator = demo.Simulator(_with_v1(options["simulator_url"]), options["simulator_key"])
        output = options["output"]
        answer = demo.seed(simulator, _with_v1(options["base_url"]), demo.read(output))
        demo.write(output, answer)
        self.stdout.write(f"wrote {output}")


def _with_v1(url: str) -> str:
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"
