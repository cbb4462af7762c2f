"""The client speaks Responses, the provider Chat Completions alone. Pure.

What is carried over and what is not: `docs/translation.md`.
"""

from gateway.translate.responses_over_chat_request import dropped_fields, translate_request
from gateway.translate.responses_over_chat_stream import StreamTranslation, translate_answer

__all__ = ["StreamTranslation", "dropped_fields", "translate_answer", "translate_request"]
