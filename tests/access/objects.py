"""Real objects for the parameters of all addresses: those of Alice's organization, and who looks at them."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from allauth.usersessions.models import UserSession
from django.utils import timezone

from accounts import services
from accounts.ids import uuid7
from accounts.invitation_models import Invitation, InvitedGroup
from accounts.key_services import issue_key
from accounts.models import APIKey, GroupMembership, User
from billing import codes, promotions
from billing.models import Account, Transfer
from billing.notice_models import Order
from billing.promotion_models import Code, Promotion
from gateway.models import CallRecord, Channel, Delivery, Provider, Task, WebhookEndpoint
from tests.billing.past import capture
from tests.gateway.call_rows import record
from tests.gateway.callback_rows import deliver_to
from tests.gateway.task_rows import add_picture, add_task
from tests.gateway.webhook_rows import subscribe, tell_low_balance
from tests.people import People, fund, make_people

USD = 10**9


class Scene(NamedTuple):
    """`people` and Mia, who manages Alice's group and is a plain member of the organization."""

    people: People
    mia: User
    key: APIKey
    colleagues_key: APIKey
    call: CallRecord
    capture: Transfer
    task: Task
    delivery: Delivery
    webhook: WebhookEndpoint
    webhook_delivery: Delivery
    waiting: Invitation
    promotion: Promotion
    code: Code
    order: Order
    channel: Channel
    session: UserSession

    @property
    def viewers(self) -> dict[str, User | None]:
        """Everybody, by the names of the columns in expectations.py."""
        people = self.people
        return {
            "anonymous": None,
            "outsider": people.charlie,
            "member": people.bob,
            "manager": self.mia,
            "admin": people.alice,
            "operator": people.olga,
        }

    def parameters(self) -> dict[str, object]:
        """What stands for each parameter of an address: objects of Alice's organization."""
        return {
            "organization_id": self.people.organization.pk,
            "group_id": self.people.group.pk,
            "user_id": self.people.bob.pk,
            "key_id": self.key.pk,
            "call_id": f"call_{self.call.pk.hex}",
            "task_id": f"tsk_{self.task.pk.hex}",
            "delivery_id": self.delivery.pk,
            "webhook_id": self.webhook.pk,
            "invitation_id": self.waiting.pk,
            "promotion_id": self.promotion.pk,
            "batch_id": self.code.batch_id,
            "code_id": self.code.pk,
            "order_id": self.order.pk,
            "channel_id": self.channel.pk,
            "session_id": self.session.pk,
            "provider": "openai",
            "name": "gpt-5.5",
            "month": f"{timezone.now():%Y-%m}",
            "token": "A" * 43,
            "task": self.task.pk.hex,
            "position": 0,
            "extension": "png",
        }

    def parents(self) -> dict[str, object]:
        """The outsider's own places, under which objects of Alice's must not be found."""
        return {
            "organization_id": self.people.foreign_organization.pk,
            "group_id": self.people.foreign_group.pk,
        }


def make_scene() -> Scene:
    """Everybody and one of everything, in Alice's organization."""
    people = make_people()
    mia = User.objects.create_user("mia@example.com", name="Mia Moss")
    services.add_member(people.group, mia, GroupMembership.Role.MANAGER)
    services.create_group(people.organization, "Second", people.alice)
    fund(people, pool_nanos=50 * USD, wallet_nanos=50 * USD)
    key = issue_key(people.group, people.bob, "Bob's key")[0]
    task = add_task(key)
    add_picture(task)
    delivery = deliver_to("https://receiver.example/hook", key)
    webhook, _secret = subscribe(people.group, people.alice, "https://receiver.example/events")
    told = tell_low_balance(people.group)
    # A visit notes what it does not know yet: that somebody was here.
    User.objects.update(seen_at=timezone.now(), language="en")
    return Scene(
        people=people,
        mia=mia,
        key=key,
        colleagues_key=issue_key(people.group, people.alice, "Alice's key")[0],
        call=record(key),
        capture=capture(Account.objects.wallet_of(people.group), 2 * USD, timezone.now()),
        task=task,
        delivery=delivery,
        webhook=webhook,
        webhook_delivery=told.deliveries.get(),
        waiting=_invite(people),
        promotion=promote(people, "welcome"),
        code=make_code(people, "fair"),
        order=Order.objects.create(
            organization=people.organization, buyer=people.alice, amount_nanos=10 * USD
        ),
        channel=_add_channel(),
        session=_sign_in(people.bob),
    )


def _invite(people: People) -> Invitation:
    invitation = Invitation.objects.create(
        organization=people.organization,
        email="new@example.com",
        invited_by=people.alice,
        expires_at=timezone.now() + timedelta(days=7),
    )
    InvitedGroup.objects.create(invitation=invitation, group=people.group)
    return invitation


def promote(people: People, reason: str) -> Promotion:
    """Five dollars for Alice's group, for a month."""
    return promotions.promote(
        people.group,
        5 * USD,
        expires_at=timezone.now() + timedelta(days=30),
        operation_id=uuid7(),
        actor=people.olga,
        reason=reason,
    )


def make_code(people: People, note: str) -> Code:
    """A batch of one code."""
    until = timezone.now() + timedelta(days=30)
    offer = codes.Offer("wallet", USD, None, 1, until, note)
    batch_id = uuid7()
    codes.make_codes(offer, 1, operation_id=batch_id, actor=people.olga)
    return Code.objects.get(batch_id=batch_id)


def _add_channel() -> Channel:
    provider = Provider.objects.first() or Provider.objects.create(
        slug="openai", name="OpenAI", dialect="openai", base_url="https://api.openai.com/v1"
    )
    return Channel.objects.create(
        provider=provider, name="main", base_url="http://127.0.0.1:9", credential=b"x" * 40
    )


def _sign_in(user: User) -> UserSession:
    return UserSession.objects.create(
        user=user,
        ip="192.0.2.1",
        session_key="k" * 32,
        user_agent="Firefox/140.0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        last_seen_at=timezone.now() - timedelta(hours=1),
    )
