"""A stand-in for Stripe's API: sessions of Checkout over real HTTP, and events signed as Stripe signs them."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import stripe

SECRET_KEY = "sk_test_fake"
WEBHOOK_SECRET = "whsec_fake"


class FakeStripe:
    """A server in a thread. `sessions` are those that were made, by their id; `fails_with` is a status to answer
    instead."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, str]] = []
        self.fails_with = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                fields = parse_qs(self.rfile.read(length).decode())
                status, answer = fake._answer(
                    self.path,
                    dict(self.headers),
                    {name: values[0] for name, values in fields.items()},
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(
        self, path: str, headers: dict[str, str], fields: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        self.requests.append(fields)
        if self.fails_with:
            return self.fails_with, {"error": {"type": "api_error", "message": "no"}}
        if headers.get("Authorization") != f"Bearer {SECRET_KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "bad key"}}
        if path != "/v1/checkout/sessions":
            return 404, {"error": {"type": "invalid_request_error", "message": path}}
        known = [one for one in self.sessions.values() if one["_key"] == headers["Idempotency-Key"]]
        if known:
            return 200, known[0]
        session = {
            "id": f"cs_test_{uuid4().hex}",
            "object": "checkout.session",
            "client_reference_id": fields["client_reference_id"],
            "amount_total": int(fields["line_items[0][price_data][unit_amount]"]),
            "currency": fields["line_items[0][price_data][currency]"],
            "metadata": {"order": fields["metadata[order]"]},
            "payment_status": "unpaid",
            "_key": headers["Idempotency-Key"],
        }
        session["url"] = f"{self.url}/pay/{session['id']}"
        self.sessions[session["id"]] = session
        return 200, session

    def session_of(self, order_id: object) -> dict[str, Any]:
        """The session of the order."""
        (found,) = [
            one for one in self.sessions.values() if one["client_reference_id"] == str(order_id)
        ]
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def event(kind: str, about: dict[str, Any]) -> bytes:
    """The body of an event."""
    made = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": about},
    }
    return json.dumps(made).encode()


def sign(body: bytes, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    """The header `stripe-signature` of a body."""
    moment = int(time.time() if at is None else at)
    header: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, moment)
    return header
