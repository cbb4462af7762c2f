"""Everybody's management keys, and the objects that only the management API has addresses for."""

from typing import NamedTuple
from uuid import uuid4

from accounts.key_services import issue_key
from accounts.models import APIKey, Group, User
from billing.models import Transfer
from gateway.models import Delivery, WebhookEndpoint
from gateway.webhooks import services
from tests.access.objects import Scene, make_scene

CALLING = "call_key"


class ApiScene(NamedTuple):
    """`keys` are texts by viewer; `call_key` is a key of the admin that calls models and manages nothing."""

    scene: Scene
    keys: dict[str, str]
    webhook: WebhookEndpoint
    webhook_delivery: Delivery

    def parameters(self) -> dict[str, object]:
        """What stands for each parameter of an address: objects of Alice's organization."""
        return self.scene.parameters() | {"webhook_id": self.webhook.pk}


def make_api_scene() -> ApiScene:
    """The scene of the pages, with a key for each viewer and a webhook that was tested once."""
    scene = make_scene()
    people = scene.people
    webhook, _secret = services.create_endpoint(
        people.group,
        people.alice,
        services.EndpointPlan("https://receiver.example/hook", ("task.ended",)),
    )
    return ApiScene(
        scene,
        {
            CALLING: issue_key(people.group, people.alice, "caller")[1],
            "outsider": _manage(people.charlie, people.foreign_group),
            "member": _manage(people.bob, people.group),
            "manager": _manage(scene.mia, people.group),
            "admin": _manage(people.alice, people.group),
            "operator": _manage(people.olga, people.foreign_group),
        },
        webhook,
        services.send_test(webhook, people.alice),
    )


def _manage(user: User, group: Group) -> str:
    return issue_key(group, user, "robot", purpose=APIKey.Purpose.MANAGE)[1]


def capture_id(made: ApiScene) -> str:
    """The call that was charged."""
    transfer: Transfer = made.scene.capture
    return f"call_{transfer.pk.hex}"


def new_key() -> str:
    """An Idempotency-Key that nobody has used."""
    return str(uuid4())
