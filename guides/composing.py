"""Guides put together: data (guides/texts) and the price book of now, in an order that all guides share."""

from collections.abc import Iterable

from django.utils import timezone
from django.utils.translation import gettext as _

from gateway.snippets.clients import LEFT_OUT, clients_of, families_of
from gateway.snippets.families import FAMILIES
from guides import model_tables
from guides.call_sections import (
    charge_section,
    errors_section,
    feature_sections,
    parameters_section,
    retries_section,
)
from guides.catalogue import Offered
from guides.document import Block, Document, Link, Links, Paragraph, Section
from guides.localization import page_path
from guides.model_tables import by_number, is_lasting
from guides.pairs import Pair
from guides.question_section import questions_section
from guides.start_sections import example_sections, setup_section, steps_section
from guides.texts import calls
from guides.texts.clients import CLIENT_TEXTS
from guides.texts.families import FAMILY_TEXTS
from guides.texts.pictures import PICTURE_TEXTS
from guides.values import Reader, Topic, say


def find_topic(pair: Pair, catalogue: Iterable[Offered], reader: Reader) -> Topic:
    """The models of the pair's family out of the catalogue, of an overview those of the client's first one: new ones
    first, and last those that are retired, which no example names."""
    family = pair.family or families_of(pair.client.slug)[0]
    models = [one for one in catalogue if family.holds(one.name, one.model.mode)]
    today = timezone.now().date()
    lasting = {one.name: one for one in models if is_lasting(one, today)}
    models.sort(key=lambda one: (is_lasting(one, today), by_number(one)), reverse=True)
    return Topic(pair, tuple(models), lasting.get(family.example(lasting)), reader)


def compose_guide(topic: Topic) -> Document:
    """The guide to a client with a family of models, in the active language."""
    values = topic.values()
    return Document(
        title=say(calls.TITLE, values),
        description=say(calls.DESCRIPTION, values),
        lead=_lead(topic),
        sections=(
            steps_section(topic),
            setup_section(topic),
            *example_sections(topic),
            _models_section(topic),
            *feature_sections(topic),
            parameters_section(topic),
            errors_section(topic),
            charge_section(topic),
            questions_section(topic),
            _onward_section(topic),
        ),
    )


def compose_overview(topic: Topic) -> Document:
    """What holds for a client with every family, and the way to its guides."""
    values, text = topic.values(), CLIENT_TEXTS[topic.pair.client.slug]
    guides = tuple(
        Link(
            say(calls.TITLE, {**values, "family": family.name}),
            _path(Pair(topic.pair.client, family)),
        )
        for family in families_of(topic.pair.client.slug)
    )
    left_out = tuple(
        Paragraph(f"**{family.name}** — {LEFT_OUT[topic.pair.client.slug, family.slug]}")
        for family in FAMILIES
        if (topic.pair.client.slug, family.slug) in LEFT_OUT
    )
    return Document(
        title=say(calls.OVERVIEW_TITLE, values),
        description=say(calls.OVERVIEW_DESCRIPTION, values),
        lead=(say(text.lead, values),),
        sections=(
            Section("guides", _("Families of models"), (Links("", guides), *left_out)),
            steps_section(topic),
            retries_section(topic),
            questions_section(topic),
            _onward_section(topic),
        ),
    )


def _lead(topic: Topic) -> tuple[str, ...]:
    pair, values = topic.pair, topic.values()
    assert pair.family is not None
    client, family = CLIENT_TEXTS[pair.client.slug], FAMILY_TEXTS[pair.family.slug]
    reach = client.lead
    if pair.draws and pair.client.slug in PICTURE_TEXTS:
        reach = PICTURE_TEXTS[pair.client.slug].lead
    said = [say(family.lead, values), say(reach, values)]
    if share := model_tables.share_line(topic):
        said.append(share)
    return (" ".join(said),)


def _models_section(topic: Topic) -> Section:
    assert topic.pair.family is not None
    blocks: list[Block] = []
    if topic.models:
        note = calls.PRICES_ARE_LIVE
        if any(offered.picture_rates for offered in topic.models):
            note = calls.PICTURE_PRICES_ARE_LIVE
        blocks += [Paragraph(str(note)), model_tables.price_table(topic)]
    else:
        blocks.append(Paragraph(say(calls.NO_MODELS, topic.values())))
    blocks.append(Paragraph(str(FAMILY_TEXTS[topic.pair.family.slug].choice)))
    blocks += model_tables.choices(topic, timezone.now().date())
    return Section("models", _("Models and prices"), tuple(blocks))


def _onward_section(topic: Topic) -> Section:
    """Neighbouring guides, and the pages that all guides lead to."""
    client, family = topic.pair.client, topic.pair.family
    blocks: list[Block] = []
    if family is not None:
        siblings = [one for one in families_of(client.slug) if one != family]
        if siblings:
            links = [Link(one.name, _path(Pair(client, one))) for one in siblings]
            blocks.append(
                Links(_("Other families with %(client)s:") % {"client": client.name}, tuple(links))
            )
        others = [one for one in clients_of(family.slug) if one != client]
        links = [Link(one.name, _path(Pair(one, family))) for one in others]
        blocks.append(
            Links(_("%(family)s with other clients:") % {"family": family.name}, tuple(links))
        )
    pages = (
        Link(_("Pricing"), page_path("pricing")),
        Link(_("Models"), page_path("models")),
        Link(_("All guides"), page_path("guides")),
        Link(_("Management API"), calls.API_DOCS_PATH),
    )
    return Section("onward", _("Where to go next"), (*blocks, Links(_("Everything else:"), pages)))


def _path(pair: Pair) -> str:
    return page_path("guide", slug=pair.slug)
