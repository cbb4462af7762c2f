"""Brings the project's price book into the database."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.price_book import DEFAULT_PATH, PriceBookError, read_price_book
from gateway.provisioning import load_price_book


class Command(BaseCommand):
    help = "Add the models and prices of a price book file that are not in the database yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", type=Path, default=DEFAULT_PATH)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            entries = read_price_book(options["path"])
        except PriceBookError as error:
            raise CommandError(str(error)) from error
        loaded = load_price_book(entries)
        self.stdout.write(
            f"{len(entries)} models in the book: {loaded.models} models and {loaded.prices} prices added"
        )
