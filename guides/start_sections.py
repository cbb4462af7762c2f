"""The beginning of a guide: what to set up, a first example with its answer, and the way from there."""

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from billing.money import format_usd
from gateway.snippets.rendering import Snippet, render
from guides.document import Block, Code, Paragraph, Section, Step, Steps
from guides.texts import bodies, calls
from guides.texts.clients import CLIENT_TEXTS
from guides.texts.endpoints import ENDPOINT_TEXTS
from guides.texts.pictures import PICTURE_TEXTS
from guides.values import Topic, say

Told = tuple[str | Promise, str | Promise]


def setup_section(topic: Topic) -> Section:
    """Installing, the key, and the settings that the client reads."""
    values, client = topic.values(), topic.pair.client
    blocks: list[Block] = []
    if client.install:
        blocks.append(Code("install", _("Install it"), client.install, "shell"))
    settings = [one for one in _snippets(topic) if not one.runs]
    blocks += _codes(settings, "setup")
    return Section("configure", say(calls.CONFIGURE, values), tuple(blocks))


def example_sections(topic: Topic) -> tuple[Section, ...]:
    """The first program with its answer, and what else the client can be told to do."""
    programs = [one for one in _snippets(topic) if one.runs]
    first = Section("example", _("Example"), (*_codes(programs[:1], "example"), *_answers(topic)))
    if len(programs) == 1:
        return (first,)
    more = Section("more-examples", _("More examples"), _codes(programs[1:], "more"))
    return (first, more)


def steps_section(topic: Topic) -> Section:
    """What to do, in order."""
    pair, values = topic.pair, topic.values()
    text, of_pictures = CLIENT_TEXTS[pair.client.slug], PICTURE_TEXTS.get(pair.client.slug)
    told: list[Told] = [(calls.MAKE_KEY, calls.MAKE_KEY_TEXT)]
    if not pair.draws:
        told += [
            (calls.CONFIGURE, text.configure),
            (calls.CHOOSE, text.model),
            (calls.PROCEED, text.use),
        ]
    else:
        told.append((calls.CONFIGURE, of_pictures.configure if of_pictures else text.configure))
        told += calls.PICTURE_STEPS if pair.endpoint == "text_to_image" else [calls.PICTURE_CALL]
    steps = tuple(Step(say(title, values), say(words, values)) for title, words in told)
    return Section("steps", _("Step by step"), (Steps(steps),))


def has_more_examples(topic: Topic) -> bool:
    """Whether streams and tools are shown in the client's own words."""
    return sum(one.runs for one in _snippets(topic)) > 1


def _snippets(topic: Topic) -> tuple[Snippet, ...]:
    pair, reader = topic.pair, topic.reader
    assert pair.family is not None
    return render(
        pair.client.slug,
        pair.family.slug,
        base_url=reader.root,
        model=topic.model_name,
        key_note=reader.key_note,
    )


def _codes(snippets: Sequence[Snippet], prefix: str) -> tuple[Code, ...]:
    return tuple(
        Code(f"{prefix}-{number}", str(one.title), one.text, one.language, one.filename)
        for number, one in enumerate(snippets, start=1)
    )


def _answers(topic: Topic) -> tuple[Block, ...]:
    """What the endpoint answers; of a task also what it says in the end."""
    text = ENDPOINT_TEXTS[topic.pair.endpoint].answer
    answer = Code("answer", say(calls.THE_ANSWER, topic.values()), _fill(text, topic), "json")
    if topic.pair.endpoint != "text_to_image":
        return (answer,)
    ended = Code("answer-ended", "", _fill(bodies.TASK_ENDED, topic), "json")
    return (answer, Paragraph(str(calls.TASK_ENDED)), ended)


def _fill(body: str, topic: Topic) -> str:
    pictures = topic.example.picture_rates if topic.example else []
    amount = format_usd(pictures[0].sale_nanos) if pictures else "0.00"
    filled = body.replace("MODEL", topic.model_name).replace("ROOT", topic.reader.root)
    return filled.replace("AMOUNT", amount)
