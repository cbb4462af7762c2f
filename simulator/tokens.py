"""A deterministic pseudo-tokenizer that lands near o200k without its vocabulary.

o200k first cuts text with a regular expression and then merges bytes by a learnt table. Only the
first step is imitated here, with caps on run lengths standing in for the table: ordinary English
words are one token, rare long ones two, digits go by three, Hangul, Han and kana by two. Counts are
an approximation; the pieces always join back to the text exactly.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
_LETTER = rf"[^\W\d_{_HANGUL}{_HAN}{_KANA}]"
_LOWER = rf"[^\W\d_A-Z{_HANGUL}{_HAN}{_KANA}]"

_PIECE = re.compile(
    "|".join(
        (
            r" ?[\U00010000-\U0010ffff]",
            rf" ?[{_HANGUL}]{{1,2}}",
            rf" ?[{_HAN}]{{1,2}}",
            rf" ?[{_KANA}]{{1,2}}",
            # As in o200k, one space or mark rides on the word after it: "(n", "_sorted".
            rf"(?:[^\S\r\n]|[^\w\s]|_)?(?:[A-Z]{{1,4}}(?!{_LOWER})|[A-Z]?{_LOWER}{{1,12}}|[A-Z])"
            r"(?:'(?:[sdmt]|ll|ve|re)\b)?",
            r"\d{1,3}",
            r" ?(?:[^\w\s]|_){1,4}[\r\n]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
            r"(?s:.)",
        )
    )
)

_MESSAGE_FRAME = 4  # start, role, separator, end
_CALL_FRAME = 8  # the vendor's own preamble and the opening of the reply
_TOOL_FRAME = 6
_IMAGE = {"low": 85}
_IMAGE_DEFAULT = 765
_FILE = 1_200
_MODALITIES = {"image_url": "IMAGE", "input_audio": "AUDIO"}
_AUDIO_BASE64_CHARS_PER_TOKEN = 4_300  # 16-bit PCM at 16 kHz, about ten tokens a second

_MEMO_CHARS = 8_000_000


def split_tokens(text: str) -> list[str]:
    """Cut text into pieces of one token each; joined, they are the text."""
    return _PIECE.findall(text)


class TokenCounter:
    """Counts tokens; remembers texts, since agents send the same prompts and tools each turn."""

    def __init__(self) -> None:
        self._memo: dict[str, int] = {}
        self._chars = 0

    def count(self, text: str) -> int:
        """The number of pieces `split_tokens` cuts the text into."""
        known = self._memo.get(text)
        if known is not None:
            return known
        if self._chars > _MEMO_CHARS:
            self._memo.clear()
            self._chars = 0
        counted = len(_PIECE.findall(text))
        self._memo[text] = counted
        self._chars += len(text)
        return counted

    def count_prompt(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], response_format: Any
    ) -> int:
        """Prompt tokens of a whole call: messages, tool definitions and an output schema."""
        total = _CALL_FRAME
        for message in messages:
            total += _MESSAGE_FRAME + self._count_message(message)
        for tool in tools:
            total += _TOOL_FRAME + self._count_json(tool)
        if isinstance(response_format, dict) and response_format.get("type") == "json_schema":
            total += self._count_json(response_format)
        return total

    def count_media(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Prompt tokens of pictures, sound and documents, by modality; without those that are 0."""
        found: dict[str, int] = {}
        for message in messages:
            content = message.get("content")
            for part in content if isinstance(content, list) else ():
                kind = part.get("type")
                if kind not in ("text", "refusal"):
                    modality = _MODALITIES.get(str(kind), "DOCUMENT")
                    found[modality] = found.get(modality, 0) + self._count_part(part)
        return found

    def _count_message(self, message: Mapping[str, Any]) -> int:
        content = message.get("content")
        total = 0
        if type(content) is str:
            total = self.count(content)
        elif type(content) is list:
            for part in content:
                total += self._count_part(part)
        if len(message) <= 2:
            return total
        name = message.get("name")
        if type(name) is str:
            total += 1 + self.count(name)
        calls = message.get("tool_calls")
        if type(calls) is list:
            for call in calls:
                total += _TOOL_FRAME + self._count_json(call)
        return total

    def _count_part(self, part: Any) -> int:
        if not isinstance(part, dict):
            return 0
        kind = part.get("type")
        if kind == "text":
            return self.count(str(part.get("text") or ""))
        if kind == "refusal":
            return self.count(str(part.get("refusal") or ""))
        if kind == "image_url":
            image = part.get("image_url")
            detail = image.get("detail") if isinstance(image, dict) else None
            return _IMAGE.get(str(detail), _IMAGE_DEFAULT)
        if kind == "input_audio":
            audio = part.get("input_audio")
            data = audio.get("data") if isinstance(audio, dict) else None
            return 1 + len(data) // _AUDIO_BASE64_CHARS_PER_TOKEN if isinstance(data, str) else 0
        return _FILE

    def _count_json(self, value: Any) -> int:
        return self.count(msgspec.json.encode(value).decode())
