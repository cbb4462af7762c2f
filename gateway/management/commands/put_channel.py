"""Adds a channel, changes it, gives it another credential, or takes it out of routing."""

import getpass
import json
import os
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.channels import Change, set_channel
from gateway.models import Channel, Provider
from gateway.provisioning import disable_channel


class Command(BaseCommand):
    help = (
        "Put a provider's channel in place, enabled. The credential is read from standard input, or from the variable "
        "that --credential-env names; never give it as an argument."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("provider", help="slug of the provider, such as openai")
        parser.add_argument("name", help="the channel's name at its provider")
        parser.add_argument("--base-url", help="needed for a new channel")
        parser.add_argument("--priority", type=int, help="lower is tried first")
        parser.add_argument("--weight", type=int, help="share among equals; 0 stands by")
        parser.add_argument("--model-map", help="JSON: models served here and their names here")
        parser.add_argument("--credential-env", help="name of the variable with the credential")
        parser.add_argument("--disable", action="store_true", help="take it out of routing")

    def handle(self, *args: Any, **options: Any) -> None:
        provider = Provider.objects.filter(slug=options["provider"]).first()
        if provider is None:
            slugs = ", ".join(Provider.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"no such provider: {options['provider']}; there are: {slugs}")
        name = options["name"]
        if options["disable"]:
            if not Channel.objects.filter(provider=provider, name=name).exists():
                raise CommandError(f"no such channel: {provider.slug}:{name}")
            disable_channel(provider, name)
            self.stdout.write(f"{provider.slug}:{name} is disabled")
            return
        change = Change(
            base_url=options["base_url"],
            priority=options["priority"],
            weight=options["weight"],
            model_map=_read_map(options["model_map"]),
        )
        try:
            channel = set_channel(
                provider, name, _read_credential(options["credential_env"]), change
            )
        except ValidationError as error:
            raise CommandError(_told(error)) from error
        self.stdout.write(f"{provider.slug}:{name} leads to {channel.base_url}")


def _told(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    fields = error.message_dict.items()
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in fields)


def _read_map(text: str | None) -> object:
    if text is None:
        return None
    try:
        model_map: object = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--model-map is no JSON: {error}") from error
    if model_map is None:
        raise CommandError("--model-map must be a JSON object")
    return model_map


def _read_credential(variable: str | None) -> str:
    if variable is not None:
        credential = os.environ.get(variable, "")
        if not credential:
            raise CommandError(f"the variable {variable} is empty")
        return credential
    if sys.stdin.isatty():
        return getpass.getpass("credential: ").strip()
    return sys.stdin.readline().strip()
