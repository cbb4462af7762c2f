"""simulator.chat_usage: each vendor's own way to fill the usage of a chat completion."""

import openai
import pytest

SCRIPT = {
    "input_tokens": 1000,
    "cached_tokens": 600,
    "output_tokens": 200,
    "reasoning_tokens": 30,
}
TOTALS = {
    "input": 1000,
    "cached": 600,
    "cache_write": 0,
    "cache_write_1h": 0,
    "output": 200,
    "reasoning": 30,
}
NO_MORE_OUTPUT = {
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}
OPENAI = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 30, **NO_MORE_OUTPUT},
}
PLAIN = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
GEMINI = {"prompt_tokens": 1000, "completion_tokens": 170, "total_tokens": 1200}
DEEPSEEK = {
    **PLAIN,
    "prompt_tokens_details": {"cached_tokens": 600},
    "completion_tokens_details": {"reasoning_tokens": 30},
    "prompt_cache_hit_tokens": 600,
    "prompt_cache_miss_tokens": 400,
}
XAI = {
    "prompt_tokens": 1000,
    "completion_tokens": 170,
    "total_tokens": 1200,
    "prompt_tokens_details": {
        "text_tokens": 1000,
        "audio_tokens": 0,
        "image_tokens": 0,
        "cached_tokens": 600,
    },
    "completion_tokens_details": {"reasoning_tokens": 30, **NO_MORE_OUTPUT},
    "num_sources_used": 0,
}
FAMILIES = [
    ("gpt-5.5", OPENAI),
    ("acme/brand-new", OPENAI),
    ("upstage/solar-pro3", OPENAI),
    ("claude-sonnet-4-6", PLAIN),
    ("anthropic/claude-haiku-4-5", PLAIN),
    ("gemini-2.5-pro", GEMINI),
    ("deepseek-chat", DEEPSEEK),
    ("grok-4", XAI),
    ("mistral-large-latest", PLAIN),
]
DIALECTS = [
    ("openai", OPENAI),
    ("upstage", OPENAI),
    ("anthropic", PLAIN),
    ("gemini", GEMINI),
    ("deepseek", DEEPSEEK),
    ("xai", XAI),
    ("mistral", PLAIN),
]


@pytest.mark.parametrize(("model", "usage"), FAMILIES)
def test_a_models_family_says_how_usage_is_reported(http, body, events, model, usage, last_ended):
    asked = body(model=model, simulate=SCRIPT)
    assert http.post("/chat/completions", json=asked).json()["usage"] == usage
    assert (last_ended()["usage"], last_ended()["totals"]) == (usage, TOTALS)
    asked |= {"stream": True, "stream_options": {"include_usage": True}}
    found, done = events(http.post("/chat/completions", json=asked).text)
    assert done
    assert found[-1]["usage"] == usage
    assert last_ended()["totals"] == TOTALS


@pytest.mark.parametrize(("dialect", "usage"), DIALECTS)
def test_a_script_can_choose_the_vendor(http, body, dialect, usage):
    asked = body(simulate={**SCRIPT, "dialect": dialect})
    assert http.post("/chat/completions", json=asked).json()["usage"] == usage


def test_an_unknown_vendor_is_refused(http, body):
    answer = http.post("/chat/completions", json=body(simulate={"dialect": "acme"}))
    assert answer.json()["error"]["code"] == "invalid_script"


def test_geminis_compatible_path_reports_as_gemini_whatever_the_model(vendor, root_url, body):
    with openai.OpenAI(
        base_url=root_url + "/v1beta/openai", api_key=vendor.api_key, max_retries=0
    ) as client:
        answer = client.chat.completions.create(**body(), extra_body={"simulate": SCRIPT})
        assert answer.usage.to_dict() == GEMINI
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(**body(), extra_body={"simulate": {"status": 429}})
    (error,) = refused.value.body
    assert (error["error"]["code"], error["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_what_a_cache_took_is_in_the_totals_though_the_vendor_keeps_it_to_itself(
    http, body, last_ended
):
    script = {**SCRIPT, "cache_write_tokens": 50, "cache_write_1h_tokens": 7}
    asked = body(model="claude-sonnet-4-6", simulate=script)
    assert http.post("/chat/completions", json=asked).json()["usage"] == PLAIN
    assert last_ended()["totals"] == {**TOTALS, "cache_write": 50}
