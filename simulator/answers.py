"""What the stand-in says: plausible, about the prompt, and the same each time for one prompt."""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from simulator.errors import ApiError
from simulator.schema import Sampler, SchemaError
from simulator.tokens import split_tokens

MERGE_QUESTION = "Write a Python function that merges two sorted lists in O(n) time."
MERGE_ANSWER = '''def merge_sorted(left, right):
    """Merge two ascending lists into one new list in O(n) time."""
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]'''

_MEMO_ENTRIES = 2_048
_MEMO_CHARS = 20_000  # a prompt longer than this is not remembered
_TOPIC_CHARS = 60
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")

# Per language: openings that name the topic, sentences for the middle, closings.
_VOICES: dict[str, tuple[Sequence[str], Sequence[str], Sequence[str]]] = {
    "en": (
        (
            "Here is a short answer about “{topic}”.",
            "Let us take “{topic}” one step at a time.",
            "You asked about “{topic}”, so I start with what matters most.",
        ),
        (
            "The first thing to settle is what you want to end up with.",
            "A small example often shows the point faster than a definition.",
            "Most mistakes here come from skipping the simple case.",
            "Write down what goes in, what comes out, and what may go wrong.",
            "Then check the result against one case you can work out by hand.",
            "If the numbers matter, measure before you change anything.",
        ),
        ("Tell me more about your case and I can be more exact.", "That covers the essentials."),
    ),
    "ko": (
        (
            "“{topic}”에 대해 간단히 답해 드리겠습니다.",
            "“{topic}”을(를) 차례대로 살펴보겠습니다.",
            "질문하신 “{topic}”의 핵심부터 말씀드리겠습니다.",
        ),
        (
            "먼저 어떤 결과를 얻고 싶은지 정하는 것이 좋습니다.",
            "짧은 예시 하나가 긴 설명보다 이해하기 쉽습니다.",
            "대부분의 실수는 간단한 경우를 건너뛸 때 생깁니다.",
            "입력과 출력, 그리고 실패할 수 있는 지점을 적어 보세요.",
            "그런 다음 직접 계산할 수 있는 사례로 결과를 확인하세요.",
        ),
        ("상황을 더 알려 주시면 더 정확히 도와드리겠습니다.", "핵심은 여기까지입니다."),
    ),
    "zh": (
        (
            "关于“{topic}”，先给出一个简短的回答。",
            "我们一步一步来看“{topic}”。",
            "您问到“{topic}”，先说最重要的一点。",
        ),
        (
            "首先要明确您希望得到什么结果。",
            "一个小例子往往比定义更容易理解。",
            "多数错误都来自跳过了最简单的情况。",
            "请写下输入、输出以及可能出错的地方。",
            "然后用一个可以手算的例子来验证结果。",
        ),
        ("如果能提供更多细节，我可以回答得更准确。", "以上就是要点。"),
    ),
    "ja": (
        ("「{topic}」について簡単にお答えします。", "「{topic}」を順番に見ていきましょう。"),
        (
            "まず、どのような結果が欲しいのかを決めてください。",
            "短い例のほうが、長い説明より分かりやすいことがあります。",
            "入力と出力、そして失敗しうる箇所を書き出してみましょう。",
            "最後に、手で計算できる例で結果を確かめてください。",
        ),
        ("状況を教えていただければ、より正確にお答えできます。", "要点は以上です。"),
    ),
}


class AnswerBook:
    """Finds the answer to a prompt, cut into tokens; remembers the short ones."""

    def __init__(self) -> None:
        self._memo: dict[tuple[str, int], list[str]] = {}
        self._cycles: dict[str, list[str]] = {}

    def reply(self, prompt: str, variant: int = 0) -> list[str]:
        """The answer's tokens. `variant` is the choice's index, so that `n` choices differ."""
        key = (prompt, variant)
        known = self._memo.get(key)
        if known is not None:
            return known
        pieces = split_tokens(_compose(prompt, variant))
        if len(prompt) <= _MEMO_CHARS:
            if len(self._memo) >= _MEMO_ENTRIES:
                self._memo.clear()
            self._memo[key] = pieces
        return pieces

    def fill(self, prompt: str, length: int, variant: int = 0) -> list[str]:
        """Exactly `length` tokens: the answer to the prompt, cut short or continued."""
        pieces = self.reply(prompt, variant)
        missing = length - len(pieces)
        if missing <= 0:
            return pieces[:length]
        language = _language(prompt)
        cycle = self._cycles.get(language)
        if cycle is None:
            gap = _gap(language)
            cycle = split_tokens("".join(gap + sentence for sentence in _VOICES[language][1]))
            self._cycles[language] = cycle
        return (pieces + cycle * (missing // len(cycle) + 1))[:length]


def _language(prompt: str) -> str:
    if _HANGUL.search(prompt):
        return "ko"
    if _KANA.search(prompt):
        return "ja"
    return "zh" if _HAN.search(prompt) else "en"


def _topic(prompt: str) -> str:
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    if len(line) > _TOPIC_CHARS:
        line = line[:_TOPIC_CHARS].rpartition(" ")[0] or line[:_TOPIC_CHARS]
        return line.rstrip(" ,;:") + "…"
    return line.rstrip(".!?。！？ ") or line or "…"


def _compose(prompt: str, variant: int) -> str:
    if prompt.strip() == MERGE_QUESTION:
        return MERGE_ANSWER
    language = _language(prompt)
    openings, middles, closings = _VOICES[language]
    seed = zlib.crc32(prompt.encode("utf-8", "replace")) + 7 * variant
    length = 1 + seed % 3
    start = seed // 3
    sentences = [openings[start % len(openings)].format(topic=_topic(prompt))]
    sentences += [middles[(start + step) % len(middles)] for step in range(length)]
    sentences.append(closings[start % len(closings)])
    return _gap(language).join(sentences)


def _gap(language: str) -> str:
    return "" if language in ("zh", "ja") else " "


def spread(text: str, length: int) -> list[str]:
    """The text cut into exactly `length` pieces of near equal size, some empty if it is short."""
    total = len(text)
    return [text[total * k // length : total * (k + 1) // length] for k in range(length)]


def one_line(size: int) -> list[str]:
    """Tokens of plain ASCII that join to exactly `size` bytes."""
    whole, rest = divmod(size, 6)
    return [" token"] * whole + ([" token"[:rest]] if rest else [])


def quote_results(results: Sequence[tuple[str, str]]) -> list[str]:
    """The answer after tools were run: what each returned, word for word."""
    said = " ".join(f"The tool {name} returned: {text}" for name, text in results)
    return split_tokens(said)


def words_of(prompt: str) -> list[str]:
    """Words that lend sense to made-up values: names in the prompt first, else its longer words."""
    found = _WORD.findall(prompt)
    names = [word for word in found[1:] if word[0].isupper() and word.lower() != "i"]
    return names or [word for word in found if len(word) > 3] or found[:1]


def sample_json(schema: Any, prompt: str, where: str) -> str:
    """A JSON text that fits the schema; `where` is the parameter an error names.

    Raises ApiError(400) for a schema that cannot be satisfied.
    """
    try:
        value = Sampler(schema, words_of(prompt)).sample()
    except (SchemaError, TypeError, ValueError, ArithmeticError) as problem:
        raise ApiError(
            400, f"Invalid schema: {problem}.", param=where, code="invalid_function_parameters"
        ) from None
    return msgspec.json.encode(value).decode()


def free_json(prompt: str) -> str:
    """The JSON object answered where any object will do."""
    answer = "".join(split_tokens(_compose(prompt, 0)))
    return msgspec.json.encode({"topic": _topic(prompt), "answer": answer}).decode()
