"""What operators do with channels: set them up, take them out, and change the key under which credentials lie."""

from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from gateway.credentials import BadCredential, seal, unseal
from gateway.models import CallbackSecret, Channel, Provider, WebhookEndpoint
from gateway.provisioning import describe_channel, record_channel, seal_credential
from gateway.webhooks.models import SigningSecret


class Change(NamedTuple):
    """What becomes of a channel. None: as it is; a new channel has an address and the defaults of its row."""

    base_url: str | None = None
    priority: int | None = None
    weight: int | None = None
    model_map: object = None


class Resealed(NamedTuple):
    """Secrets that lie under the current key now, that did before, and whose they are that open under no key
    (`provider:name`, `callback:<key id>`, `webhook:<id>`)."""

    resealed: int
    current: int
    unreadable: tuple[str, ...]


@transaction.atomic
def set_channel(
    provider: Provider, name: str, credential: str, change: Change, actor: User | None = None
) -> Channel:
    """The provider's channel of that name, with this credential and change, enabled. Raises ValidationError."""
    known = Channel.objects.select_for_update().filter(provider=provider, name=name).first()
    before = describe_channel(known) if known else None
    channel = known or Channel(provider=provider, name=name)
    for field, value in change._asdict().items():
        if value is not None:
            setattr(channel, field, value)
    check_credential(credential)
    channel.full_clean()
    channel.base_url = channel.base_url.rstrip("/")
    seal_credential(channel, credential)
    channel.is_enabled = True
    channel.save()
    record_channel(actor, channel, before)
    return channel


def check_credential(credential: str) -> None:
    """Raise ValidationError for what cannot stand in a header."""
    if not credential or not all("!" <= letter <= "~" for letter in credential):
        raise ValidationError(_("A credential is visible ASCII characters without blanks."))


def reseal_credentials() -> Resealed:
    """Encrypt under the current key what still lies under an old one: channels' credentials, and what signs callbacks
    and webhooks. Each row is a transaction of its own, so that another run goes on where one was stopped."""
    tally = _Tally()
    for pk in Channel.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            _reseal_channel(pk, tally)
    kinds: tuple[type[SigningSecret], ...] = (CallbackSecret, WebhookEndpoint)
    for kind in kinds:
        for pk in kind._default_manager.order_by("pk").values_list("pk", flat=True):
            with transaction.atomic():
                _reseal_signing_secret(kind, pk, tally)
    return Resealed(tally.resealed, tally.current, tuple(tally.unreadable))


def _reseal_channel(pk: int, tally: "_Tally") -> None:
    channel = Channel.objects.select_for_update().filter(pk=pk).first()
    if channel is None:
        return
    before = bytes(channel.credential)
    channel.credential = tally.reseal(before, f"{channel.provider_id}:{channel.name}")
    if channel.credential != before:
        channel.save(update_fields=["credential"])


def _reseal_signing_secret(kind: type[SigningSecret], pk: UUID, tally: "_Tally") -> None:
    row = kind._default_manager.select_for_update().filter(pk=pk).first()
    if row is None:
        return
    row.sealed = tally.reseal(bytes(row.sealed), row.secret_owner)
    if row.previous_until is not None and row.previous_until <= timezone.now():
        row.previous = row.previous_until = None  # it signs no more
    if row.previous is not None:
        row.previous = tally.reseal(bytes(row.previous), row.secret_owner)
    row.save(update_fields=["sealed", "previous", "previous_until"])


class _Tally:
    def __init__(self) -> None:
        self.resealed = self.current = 0
        self.unreadable: list[str] = []

    def reseal(self, sealed: bytes, owner: str) -> bytes:
        """The same under the current key, where it opens at all; unchanged otherwise."""
        try:
            unseal(sealed, settings.CREDENTIAL_KEYS[:1], owner)
            self.current += 1
            return sealed
        except BadCredential:
            pass
        try:
            text = unseal(sealed, settings.CREDENTIAL_KEYS[1:], owner)
        except BadCredential:
            self.unreadable.append(owner)
            return sealed
        self.resealed += 1
        return seal(text, settings.CREDENTIAL_KEY, owner)
