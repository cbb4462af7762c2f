"""What each vendor reports, in disjoint buckets: every bucket that is not named in a case is zero."""

from typing import Any

import pytest

from tests.gateway.usage_reports import (
    READERS,
    Report,
    buckets,
    chat,
    generate,
    messages,
    responses,
)

TRUE_REPORTS = [
    # OpenAI, and who reports alike
    ("chat", "plain", chat(38, 95, 133), {"input": 38, "output": 95}),
    ("chat", "zero is a value", chat(0, 0, 0), {}),
    ("chat", "no total", chat(5, 3), {"input": 5, "output": 3}),
    (
        "chat",
        "parts are taken out of their totals",
        chat(100, 50, 150, cached=30, written=10, heard=5, reasoning=20, spoken=4),
        {
            "input": 55,
            "cached_input": 30,
            "cache_write": 10,
            "audio_input": 5,
            "output": 46,
            "reasoning": 20,
            "audio_output": 4,
        },
    ),
    (
        "chat",
        "Anthropic's endpoint gives totals and null details",
        chat(
            12, 7, 19, prompt_tokens_details=None, completion_tokens_details=None, service_tier=None
        ),
        {"input": 12, "output": 7},
    ),
    (
        "chat",
        "Upstage's reasoning is inside its completion",
        chat(20, 60, 80, reasoning=45),
        {"input": 20, "output": 60, "reasoning": 45},
    ),
    # DeepSeek
    (
        "deepseek",
        "hits and misses",
        chat(100, 9, 109, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        {"input": 36, "cached_input": 64, "output": 9},
    ),
    (
        "deepseek",
        "hits twice, and reasoning inside",
        chat(
            100,
            9,
            109,
            cached=64,
            reasoning=8,
            prompt_cache_hit_tokens=64,
            prompt_cache_miss_tokens=36,
        ),
        {"input": 36, "cached_input": 64, "output": 9, "reasoning": 8},
    ),
    (
        "deepseek",
        "only OpenAI's details",
        chat(100, 9, 109, cached=64),
        {"input": 36, "cached_input": 64, "output": 9},
    ),
    # Mistral
    (
        "mistral",
        "cached in the details",
        chat(1013, 30, 1043, cached=1008),
        {"input": 5, "cached_input": 1008, "output": 30},
    ),
    (
        "mistral",
        "cached at the top and no audio",
        chat(1013, 30, 1043, num_cached_tokens=1008, prompt_audio_seconds=None),
        {"input": 5, "cached_input": 1008, "output": 30},
    ),
    # xAI
    (
        "xai",
        "reasoning beside the completion",
        chat(2640, 182, 3494, cached=473, reasoning=672),
        {"input": 2167, "cached_input": 473, "output": 854, "reasoning": 672},
    ),
    (
        "xai",
        "reasoning inside the completion, by the total",
        chat(10, 50, 60, reasoning=20),
        {"input": 10, "output": 50, "reasoning": 20},
    ),
    (
        "xai",
        "reasoning beside the completion, without a total",
        chat(10, 50, reasoning=20),
        {"input": 10, "output": 70, "reasoning": 20},
    ),
    ("xai", "no reasoning", chat(10, 50, 60), {"input": 10, "output": 50}),
    # Gemini's compatible endpoint
    ("gemini", "no thoughts", chat(10, 5, 15), {"input": 10, "output": 5}),
    (
        "gemini",
        "thoughts in the total alone",
        chat(758, 102, 1725),
        {"input": 758, "output": 967, "reasoning": 865},
    ),
    (
        "gemini",
        "thoughts named beside the completion",
        chat(758, 102, 1725, reasoning=865),
        {"input": 758, "output": 967, "reasoning": 865},
    ),
    (
        "gemini",
        "thoughts inside the completion, by the total",
        chat(10, 50, 60, reasoning=20),
        {"input": 10, "output": 50, "reasoning": 20},
    ),
    (
        "gemini",
        "beyond named thoughts is what tools fetched",
        chat(10, 5, 45, reasoning=20),
        {"input": 20, "output": 25, "reasoning": 20},
    ),
    # Responses, of OpenAI and of xAI
    ("responses", "plain", responses(38, 95), {"input": 38, "output": 95}),
    (
        "responses",
        "cached and written inside the input, reasoning inside the output",
        responses(100, 50, cached=60, written=10, reasoning=32),
        {
            "input": 30,
            "cached_input": 60,
            "cache_write": 10,
            "output": 50,
            "reasoning": 32,
        },
    ),
    # Messages
    ("messages", "plain", messages(25, 150), {"input": 25, "output": 150}),
    (
        "messages",
        "writes without lifetimes are for 5 minutes",
        messages(3, 550, read=0, written=12304),
        {"input": 3, "cache_write": 12304, "output": 550},
    ),
    (
        "messages",
        "cache beside the input, by lifetime",
        messages(3, 550, read=700, written=148, short=100, long=48),
        {
            "input": 3,
            "cached_input": 700,
            "cache_write": 100,
            "cache_write_1h": 48,
            "output": 550,
        },
    ),
    (
        "messages",
        "null stands for nothing",
        {
            **messages(3, 5),
            "cache_read_input_tokens": None,
            "cache_creation_input_tokens": None,
            "cache_creation": None,
            "iterations": None,
        },
        {"input": 3, "output": 5},
    ),
    (
        "messages",
        "rounds that compacted are added, others are counted already",
        messages(
            23000,
            1000,
            read=5,
            iterations=[
                {"type": "compaction", **messages(180000, 3500, read=40, written=7)},
                {"type": "message", **messages(23000, 1000, read=5)},
            ],
        ),
        {"input": 203000, "cached_input": 45, "cache_write": 7, "output": 4500},
    ),
    # Embeddings
    ("embeddings", "input alone", {"prompt_tokens": 8, "total_tokens": 8}, {"input": 8}),
    ("embeddings", "completion of zero", chat(8, 0, 8), {"input": 8}),
    # generateContent
    ("generate", "plain", generate(10, visible=5, total=15), {"input": 10, "output": 5}),
    ("generate", "zeros are left out", generate(10, total=10), {"input": 10}),
    (
        "generate",
        "no total",
        generate(10, visible=5, thoughts=7),
        {"input": 10, "output": 12, "reasoning": 7},
    ),
    (
        "generate",
        "thoughts beside the candidates",
        generate(20, visible=198, thoughts=405, total=623),
        {"input": 20, "output": 603, "reasoning": 405},
    ),
    (
        "generate",
        "what tools fetched beside the prompt",
        generate(151, visible=1089, thoughts=1120, fetched=18329, total=20689),
        {"input": 18480, "output": 2209, "reasoning": 1120},
    ),
    (
        "generate",
        "thoughts inside the candidates, by the total",
        generate(10, visible=50, thoughts=20, total=60),
        {"input": 10, "output": 50, "reasoning": 20},
    ),
    (
        "generate",
        "thoughts in the total alone",
        generate(10, visible=5, total=40),
        {"input": 10, "output": 30, "reasoning": 25},
    ),
    (
        "generate",
        "beyond named thoughts is what tools fetched",
        generate(10, visible=5, thoughts=20, total=45),
        {"input": 20, "output": 25, "reasoning": 20},
    ),
    (
        "generate",
        "cached inside the prompt",
        generate(5000, visible=5, cached=4096, total=5005),
        {"input": 904, "cached_input": 4096, "output": 5},
    ),
    (
        "generate",
        "sound heard is apart, pictures seen are input",
        generate(100, visible=5, total=105, of_prompt={"TEXT": 10, "AUDIO": 60, "IMAGE": 30}),
        {"input": 40, "audio_input": 60, "output": 5},
    ),
    (
        "generate",
        "cached sound is cached input",
        generate(
            100,
            cached=50,
            total=100,
            of_prompt={"TEXT": 40, "AUDIO": 60},
            of_cached={"TEXT": 30, "AUDIO": 20},
        ),
        {"input": 10, "cached_input": 50, "audio_input": 40},
    ),
    (
        "generate",
        "sound is the last to come from a cache that does not say",
        generate(100, cached=50, total=100, of_prompt={"TEXT": 40, "AUDIO": 60}),
        {"cached_input": 50, "audio_input": 50},
    ),
    (
        "generate",
        "sound that tools fetched",
        generate(10, fetched=20, total=30, of_fetched={"AUDIO": 15}),
        {"input": 15, "audio_input": 15},
    ),
    (
        "generate",
        "pictures drawn and sound spoken are apart",
        generate(
            10,
            visible=1303,
            thoughts=40,
            total=1353,
            of_visible={"IMAGE": 1290, "AUDIO": 8},
        ),
        {"input": 10, "output": 45, "reasoning": 40, "image_output": 1290, "audio_output": 8},
    ),
    (
        "generate",
        "a modality without a name or a count",
        {
            **generate(10, total=10),
            "promptTokensDetails": [{"tokenCount": 4}, {"modality": "AUDIO"}],
        },
        {"input": 10},
    ),
]

FALSE_REPORTS = [
    ("chat", "cached above its prompt", chat(10, 5, cached=11)),
    ("chat", "cached and written above their prompt", chat(100, 5, cached=95, written=6)),
    ("chat", "audio and cached above their prompt", chat(100, 5, cached=60, heard=41)),
    ("chat", "reasoning above its completion", chat(10, 5, reasoning=6)),
    ("chat", "reasoning and speech above their completion", chat(10, 50, reasoning=47, spoken=4)),
    ("chat", "a total below its parts", chat(10, 5, 14)),
    ("chat", "a total of more than its parts", chat(10, 5, 16)),
    ("deepseek", "hits without their misses", chat(100, 9, prompt_cache_hit_tokens=64)),
    (
        "deepseek",
        "hits and misses that are not the prompt",
        chat(100, 9, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=37),
    ),
    (
        "deepseek",
        "two numbers of hits",
        chat(100, 9, cached=63, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
    ),
    ("mistral", "two numbers of cached", chat(100, 9, cached=63, num_cached_tokens=64)),
    ("mistral", "audio, which is billed in seconds", chat(4, 635, prompt_audio_seconds=203)),
    ("mistral", "audio that only the total knows", chat(4, 635, 3264)),
    ("xai", "a total that no reading makes", chat(10, 50, 75, reasoning=20)),
    ("xai", "reasoning inside a smaller completion", chat(10, 5, 15, reasoning=20)),
    ("gemini", "no total", chat(10, 5)),
    ("gemini", "a total below its parts", chat(10, 5, 14)),
    ("gemini", "thoughts half inside", chat(10, 50, 70, reasoning=20)),
    ("gemini", "thoughts inside a smaller completion", chat(10, 5, 15, reasoning=6)),
    ("gemini", "cached above its prompt", chat(10, 5, 15, cached=11)),
    ("responses", "cached above its input", responses(10, 5, cached=11)),
    ("responses", "cached and written above their input", responses(10, 5, cached=6, written=5)),
    ("responses", "reasoning above its output", responses(10, 5, reasoning=6)),
    ("responses", "a total of more than its parts", responses(10, 5, total=16)),
    ("messages", "no output", {"input_tokens": 5}),
    ("messages", "lifetimes of less than was written", messages(1, 1, written=10, short=9)),
    ("messages", "lifetimes of more than was written", messages(1, 1, written=10, short=9, long=2)),
    ("messages", "lifetimes of nothing written", messages(1, 1, long=2)),
    (
        "messages",
        "a round on another model",
        messages(1, 1, iterations=[{"type": "advisor_message", **messages(1, 1)}]),
    ),
    ("messages", "a round of no kind", messages(1, 1, iterations=[messages(1, 1)])),
    ("embeddings", "output", chat(8, 1, 9)),
    ("embeddings", "a total of more than the input", {"prompt_tokens": 8, "total_tokens": 9}),
    ("generate", "a total below its parts", generate(10, visible=5, total=14)),
    ("generate", "thoughts half inside", generate(10, visible=50, thoughts=20, total=70)),
    (
        "generate",
        "a total of more than all four parts",
        generate(10, visible=5, thoughts=20, fetched=3, total=45),
    ),
    ("generate", "cached above its prompt", generate(10, visible=5, cached=11, fetched=9)),
    ("generate", "modalities above their prompt", generate(10, of_prompt={"TEXT": 5, "IMAGE": 6})),
    ("generate", "sound above its candidates", generate(10, visible=5, of_visible={"AUDIO": 6})),
    (
        "generate",
        "more sound cached than heard",
        generate(10, cached=5, of_prompt={"AUDIO": 2}, of_cached={"AUDIO": 3}),
    ),
    (
        "generate",
        "thoughts inside candidates that are a picture",
        generate(10, visible=50, thoughts=20, total=60, of_visible={"IMAGE": 40}),
    ),
]  # fmt: skip


def names(cases: list[Any]) -> list[str]:
    return [f"{case[0]}: {case[1]}" for case in cases]


@pytest.mark.parametrize(
    ("reader", "_", "report", "expected"), TRUE_REPORTS, ids=names(TRUE_REPORTS)
)
def test_a_report_is_read_into_disjoint_buckets(
    reader: str, _: str, report: Report, expected: dict[str, int]
) -> None:
    usage = READERS[reader](report)
    assert buckets(usage) == expected
    assert usage is not None
    assert usage.basis == "reported"


@pytest.mark.parametrize(("reader", "_", "report"), FALSE_REPORTS, ids=names(FALSE_REPORTS))
def test_a_report_that_cannot_be_true_is_none(reader: str, _: str, report: Report) -> None:
    assert READERS[reader](report) is None
