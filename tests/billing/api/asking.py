"""Requests to the management API as its clients send them."""

import json
from typing import Any
from uuid import uuid4

from django.http import HttpResponse
from django.test import Client

from accounts import key_services
from accounts.models import APIKey, Group, User

USD = 1_000_000_000


class Asker:
    """Somebody with a management key, or by the session of `client`."""

    def __init__(self, text: str = "", client: Client | None = None) -> None:
        self.text = text
        self.headers = {"Authorization": f"Bearer {text}"} if text else {}
        self.client = client or Client()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer to a request; `body` becomes JSON unless it is bytes."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        sends = {} if body is None else {"data": content, "content_type": "application/json"}
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            **sends,
            headers={**self.headers, **headers},
        )

    def get(self, path: str, status: int = 200, **query: str) -> Any:
        """The JSON of an answer that has the status."""
        answer = self.client.get(f"/api/v1/{path}", query, headers=self.headers)
        return read(answer, status)

    def post(self, path: str, body: Any = None, status: int = 201, **headers: str) -> Any:
        return read(self.send("POST", path, {} if body is None else body, **headers), status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return read(self.send("PATCH", path, body), status)

    def move(self, path: str, body: Any, status: int = 201, key: str = "") -> Any:
        """A POST with an Idempotency-Key, a new one unless one is given."""
        return self.post(path, body, status, **{"Idempotency-Key": key or uuid4().hex})


def read(answer: HttpResponse, status: int) -> Any:
    """The JSON of the answer. Raises AssertionError for another status."""
    assert answer.status_code == status, (answer.status_code, answer.content[:600])
    return json.loads(answer.content) if answer.content else None


def asker_of(user: User, group: Group) -> Asker:
    """With a management key of that user in that group."""
    purpose = APIKey.Purpose.MANAGE
    return Asker(key_services.issue_key(group, user, "manages", purpose=purpose)[1])


def browser_of(user: User) -> Asker:
    """With a session of that user."""
    client = Client()
    client.force_login(user)
    return Asker(client=client)


def error_of(answer: Any) -> tuple[str, str | None]:
    """Code and parameter of a refusal."""
    return answer["error"]["code"], answer["error"]["param"]
