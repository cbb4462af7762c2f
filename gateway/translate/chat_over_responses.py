"""The client speaks Chat Completions, the model exists in OpenAI's Responses API alone. Pure.

What is carried over and what is not: `docs/translation.md`.
"""

from gateway.translate.chat_over_responses_answer import translate_answer
from gateway.translate.chat_over_responses_request import translate_request
from gateway.translate.chat_over_responses_stream import StreamTranslation

__all__ = ["StreamTranslation", "translate_answer", "translate_request"]
