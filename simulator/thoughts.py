"""What is shown of thinking: a summary, never longer than the thinking it stands for."""

from simulator.tokens import split_tokens

_SUMMARY = (
    "I looked at what is asked and at what is known about it. I weighed two ways to answer, "
    "kept the simpler one, and checked it against the request."
)


def summarize(tokens: int) -> list[str]:
    """The summary of so many tokens of thinking, one token per piece."""
    return split_tokens(_SUMMARY)[:tokens]
