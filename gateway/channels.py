"""What operators do with channels: set them up, take them out, and change the key under which credentials lie."""

from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from gateway.credentials import BadCredential, seal, unseal
from gateway.models import Channel, Provider
from gateway.provisioning import put_channel


class Change(NamedTuple):
    """What becomes of a channel. None: as it is; a new channel has an address and the defaults of its row."""

    base_url: str | None = None
    priority: int | None = None
    weight: int | None = None
    model_map: object = None


class Resealed(NamedTuple):
    """Channels that lie under the current key now, that did before, and (`provider:name`) that open under no key."""

    resealed: int
    current: int
    unreadable: tuple[str, ...]


@transaction.atomic
def set_channel(provider: Provider, name: str, credential: str, change: Change) -> Channel:
    """The provider's channel of that name, with this credential and change, enabled. Raises ValidationError."""
    known = Channel.objects.select_for_update().filter(provider=provider, name=name).first()
    channel = known or Channel(provider=provider, name=name)
    for field, value in change._asdict().items():
        if value is not None:
            setattr(channel, field, value)
    if not credential or not all("!" <= letter <= "~" for letter in credential):
        raise ValidationError("A credential is visible ASCII characters without blanks.")
    channel.full_clean()
    put = put_channel(provider, name, channel.base_url, credential)
    put.priority, put.weight, put.model_map = channel.priority, channel.weight, channel.model_map
    put.save(update_fields=["priority", "weight", "model_map"])
    return put


def reseal_credentials() -> Resealed:
    """Encrypt under the current key what still lies under an old one. Each row is a transaction of its own, so that
    another run goes on where one was stopped."""
    resealed = current = 0
    unreadable = []
    for pk in Channel.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            channel = Channel.objects.select_for_update().filter(pk=pk).first()
            if channel is None:
                continue
            owner = f"{channel.provider_id}:{channel.name}"
            sealed = bytes(channel.credential)
            try:
                unseal(sealed, settings.CREDENTIAL_KEYS[:1], owner)
                current += 1
                continue
            except BadCredential:
                pass
            try:
                credential = unseal(sealed, settings.CREDENTIAL_KEYS[1:], owner)
            except BadCredential:
                unreadable.append(owner)
                continue
            channel.credential = seal(credential, settings.CREDENTIAL_KEY, owner)
            channel.save(update_fields=["credential"])
            resealed += 1
    return Resealed(resealed, current, tuple(unreadable))
