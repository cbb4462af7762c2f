"""OpenAI Responses."""

from simulator.chat_request import ChatBody
from simulator.connection import Request
from simulator.conversations import Conversations
from simulator.dialect import Answer, Dialect, Order
from simulator.log import Totals
from simulator.responses_encoding import ResponsesAnswer
from simulator.responses_request import ResponsesBody, parse_responses, read_responses


class Responses(Dialect):
    """POST /v1/responses."""

    name = "responses"
    id_prefix = "resp_"

    def __init__(self) -> None:
        self._conversations = Conversations()

    def parse(self, request: Request) -> ResponsesBody:
        return parse_responses(request.body)

    def read(self, request: Request, body: ResponsesBody) -> ChatBody:
        return read_responses(body, self._conversations)

    def answer(self, order: Order, totals: Totals) -> Answer:
        return ResponsesAnswer(order, totals, self._conversations)
