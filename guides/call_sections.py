"""What a guide says of calls: parameters, streams and functions, errors, and the charge."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from guides.charge_examples import charge_table
from guides.document import Block, Code, Column, Paragraph, Section, Table
from guides.start_sections import has_more_examples
from guides.texts import bodies, calls
from guides.texts.clients import CLIENT_TEXTS
from guides.texts.endpoints import (
    CLAUDE_CHAT_SCHEMA,
    CLAUDE_RESPONSES_SCHEMA,
    ENDPOINT_TEXTS,
    Feature,
)
from guides.texts.retries import Counted, Told
from guides.values import Topic, say


def parameters_section(topic: Topic) -> Section:
    """The fields of the endpoint that this guide is about, as far as the family's vendor looks at them."""
    values, text = topic.values(), ENDPOINT_TEXTS[topic.pair.endpoint]
    family = topic.pair.family.slug if topic.pair.family else ""
    columns = (Column(_("Parameter")), Column(_("Type")), Column(_("Meaning")))
    required = _("Required.")
    rows = tuple(
        (
            f"`{one.name}`",
            one.type,
            f"{required} {said}" if one.is_required else said,
        )
        for one in text.parameters
        if family not in one.not_for
        for said in (say(one.text, values),)
    )
    table = Table(_("Parameters"), columns, rows)
    words = Paragraph(_("The fields of `POST %(path)s` that matter most:") % {"path": text.path})
    return Section("parameters", _("Parameters"), (words, table))


def feature_sections(topic: Topic) -> tuple[Section, ...]:
    """Streams, functions and schemas; of pictures, how they are changed."""
    text, values = ENDPOINT_TEXTS[topic.pair.endpoint], topic.values()
    if topic.pair.endpoint == "text_to_image":
        edit = Code("edit", "", _body(bodies.TASK_EDIT, topic), "json")
        words = Paragraph(say(calls.PICTURE_EDIT, values))
        return (Section("edit", _("Change a picture"), (words, edit)),)
    features = (
        ("streaming", _("Streaming"), text.streaming),
        ("functions", _("Function calling"), text.functions),
        ("schema", _("Structured output"), _schema_of(topic)),
    )
    return tuple(
        Section(name, title, _feature(name, feature, topic))
        for name, title, feature in features
        if feature is not None
    )


def _schema_of(topic: Topic) -> Feature | None:
    if topic.pair.family and topic.pair.family.slug == "claude":
        if topic.pair.endpoint == "chat":
            return CLAUDE_CHAT_SCHEMA
        if topic.pair.endpoint == "responses":
            return CLAUDE_RESPONSES_SCHEMA
    return ENDPOINT_TEXTS[topic.pair.endpoint].schema


def _feature(name: str, feature: Feature, topic: Topic) -> tuple[Block, ...]:
    words = Paragraph(say(feature.text, topic.values()))
    if not feature.body or has_more_examples(topic):
        return (words,)
    path = ENDPOINT_TEXTS[topic.pair.endpoint].path
    return (words, Code(name, f"POST {path}", _body(feature.body, topic), "json"))


def _body(body: str, topic: Topic) -> str:
    return body.replace("MODEL", topic.model_name)


def errors_section(topic: Topic) -> Section:
    """What can go wrong, and what the client does then."""
    values = topic.values()
    columns = (Column(_("Status")), Column(_("Error code")), Column(_("Meaning")))
    rows = tuple(
        (one.status, ", ".join(f"`{code}`" for code in one.codes), say(one.text, values))
        for one in calls.ERRORS
    )
    return Section(
        "errors",
        _("Errors"),
        (
            Table(_("Errors"), columns, rows),
            Paragraph(say(calls.ERRORS_ARE_FREE, values)),
            *_retries(topic),
        ),
    )


def retries_section(topic: Topic) -> Section:
    """What the client does when something goes wrong."""
    return Section("errors", _("Errors"), _retries(topic))


def _retries(topic: Topic) -> tuple[Block, ...]:
    retries, values = CLIENT_TEXTS[topic.pair.client.slug].retries, topic.values()
    told = (
        (calls.PAYMENT, retries.payment),
        (calls.LIMIT, retries.limit),
        (calls.OUTAGE, retries.outage),
        (str(calls.CUT), retries.cut),
    )
    rows = tuple((name, _tell(words, values)) for name, words in told if words is not None)
    columns = (Column(_("Failure")), Column(_("Requests")))
    table = Table(_("What the client does"), columns, rows)
    return (Paragraph(say(calls.RETRIES, values)), table)


def _tell(words: Told, values: Mapping[str, str]) -> str:
    if isinstance(words, Counted):
        return say(words.text, values, count=words.requests, seconds=words.seconds)
    return say(words, values)


def charge_section(topic: Topic) -> Section:
    """How a charge comes about, worked out once, and where it is shown."""
    values = topic.values()
    if topic.pair.draws:
        said = (calls.PICTURE_CHARGE, calls.WHERE_SHOWN_OF_TASKS)
        return Section("charge", _("What it costs"), tuple(Paragraph(say(t, values)) for t in said))
    blocks: list[Block] = [Paragraph(say(calls.CHARGE, values))]
    table = charge_table(topic.example) if topic.example else None
    if table is not None:
        blocks += [Paragraph(say(calls.CHARGE_EXAMPLE, values)), table]
    blocks.append(Paragraph(say(calls.WHERE_SHOWN, values)))
    return Section("charge", _("What it costs"), tuple(blocks))
