"""Questions of a guide: of its client, of its family, and of all calls."""

from django.utils.translation import gettext as _

from guides.document import Answer, Questions, Section
from guides.model_tables import has_long_context
from guides.texts import questions
from guides.texts.clients import CLIENT_TEXTS
from guides.texts.families import FAMILY_TEXTS, LONG_CONTEXT, TRANSLATED
from guides.texts.questions import Question
from guides.values import Topic, say

QUESTIONS_MAX = 7


def questions_section(topic: Topic) -> Section:
    """The nearest ones first: those of the client, then of the family, then what everybody asks."""
    values = topic.values()
    answers = tuple(
        Answer(say(one.question, values), say(one.answer, values)) for one in _choose(topic)
    )
    return Section("questions", _("Questions"), (Questions(answers),))


def _choose(topic: Topic) -> list[Question]:
    pair = topic.pair
    if pair.family is None:
        return [*CLIENT_TEXTS[pair.client.slug].questions, *questions.OF_TEXT]
    family = FAMILY_TEXTS[pair.family.slug]
    if pair.draws:
        return [*family.questions, *questions.OF_PICTURES][:QUESTIONS_MAX]
    found = [*CLIENT_TEXTS[pair.client.slug].questions, *family.questions]
    modes = {offered.model.mode for offered in topic.models}
    if pair.endpoint == "chat" and "responses" in modes:
        found.append(TRANSLATED)
    if has_long_context(topic):
        found.append(LONG_CONTEXT)
    return [*found, *questions.OF_TEXT][:QUESTIONS_MAX]
