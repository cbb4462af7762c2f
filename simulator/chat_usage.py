"""The usage object of Chat Completions, which every vendor fills in its own way."""

from simulator.log import Totals
from simulator.script import Script, Vendor

_PLAIN = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'


def encode_chat_usage(vendor: Vendor, totals: Totals, script: Script) -> bytes:
    """The usage as the vendor reports it.

    - anthropic (its OpenAI SDK compatibility page), mistral: three totals and no details.
    - gemini (its OpenAI compatibility): thoughts are in `total_tokens` but not in `completion_tokens`.
    - xai (its API reference): reasoning stands beside `completion_tokens`, the total holds both.
    - deepseek (its API reference): the prompt is split again into cache hits and misses.
    - openai, upstage: cached and reasoning tokens are details of their totals.
    """
    spoken, total = totals.output - totals.reasoning, totals.input + totals.output
    if vendor in ("anthropic", "mistral"):
        return _PLAIN % (totals.input, totals.output, total)
    if vendor == "gemini":
        return _PLAIN % (totals.input, spoken, total)
    if vendor == "xai":
        return (
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
            b'"prompt_tokens_details":{"text_tokens":%d,"audio_tokens":0,"image_tokens":0,'
            b'"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d,'
            b'"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0},'
            b'"num_sources_used":0}'
            % (totals.input, spoken, total, totals.input, totals.cached, totals.reasoning)
        )
    if vendor == "deepseek":
        return (
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
            b'"prompt_tokens_details":{"cached_tokens":%d},'
            b'"completion_tokens_details":{"reasoning_tokens":%d},'
            b'"prompt_cache_hit_tokens":%d,"prompt_cache_miss_tokens":%d}'
            % (
                totals.input,
                totals.output,
                total,
                totals.cached,
                totals.reasoning,
                totals.cached,
                totals.input - totals.cached,
            )
        )
    written = b""
    if script.cache_write_tokens is not None:
        written = b',"cache_write_tokens":%d' % totals.cache_write
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
        b'{"cached_tokens":%d,"audio_tokens":0%b},"completion_tokens_details":{"reasoning_tokens":'
        b'%d,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
        % (totals.input, totals.output, total, totals.cached, written, totals.reasoning)
    )
