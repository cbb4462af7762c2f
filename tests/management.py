"""The management API as a program calls it."""

from typing import Any, NamedTuple

import msgspec
from django.http import HttpResponse
from django.test import Client

from accounts.key_services import issue_key
from accounts.models import APIKey, Group, User


class Answer(NamedTuple):
    """What came back: `body` is the decoded JSON, None without one."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> Any:
        """The code of the error."""
        return self.body["error"]["code"]

    @property
    def param(self) -> Any:
        """The field that the error names."""
        return self.body["error"]["param"]

    @property
    def ids(self) -> list[Any]:
        """The ids of a list."""
        return [row["id"] for row in self.body["data"]]


class ManagementClient:
    """Calls /api/v1 with a key, or with the session of `client`."""

    def __init__(self, key: str | None = None, client: Client | None = None) -> None:
        self.client = client or Client()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.send("DELETE", path, None, **headers)

    def send(self, method: str, path: str, body: Any, **headers: str) -> Answer:
        """`path` is below /api/v1/. `headers` are written with underscores. A body of bytes goes as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        )
        answer: HttpResponse = self.client.generic(
            method,
            f"/api/v1/{path}",
            raw,
            content_type="application/json",
            headers={**self.headers, **named},
        )
        decoded = msgspec.json.decode(answer.content) if answer.content else None
        return Answer(answer.status_code, decoded, answer.headers)


def manage(user: User, group: Group) -> ManagementClient:
    """A client with a new management key of the user in the group."""
    _, text = issue_key(group, user, "robot", purpose=APIKey.Purpose.MANAGE)
    return ManagementClient(text)
