"""What the playground offers."""

from gateway.models import Model
from gateway.playground import choices
from tests.people import People


def names(providers: list[choices.Provider]) -> set[str]:
    return {model.name for provider in providers for model in provider.models}


def test_chat_models_are_those_that_can_be_called_and_have_a_price(people: People) -> None:
    offered = names(choices.list_chat_models())
    assert {"openai/gpt-5.5", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-pro"} <= offered
    assert not {"openai/gpt-image-2", "openai/text-embedding-3-small"} & offered
    Model.objects.filter(name="openai/gpt-5.5").update(is_enabled=False)
    Model.objects.create(
        name="openai/unpriced", provider_id="openai", upstream_name="x", mode="chat"
    )
    assert names(choices.list_chat_models()) == offered - {"openai/gpt-5.5"}


def test_drawers_come_with_their_offers(people: People) -> None:
    drawers = choices.list_drawers()
    assert [drawer.model.name for drawer in drawers][:2] == [
        "openai/gpt-image-2",
        "openai/gpt-4o-image",
    ]
    assert drawers[0].offer.resolutions == ("1k", "2k", "4k")


def test_a_wish_is_met_by_name_or_alias(people: People) -> None:
    models = [model for provider in choices.list_chat_models() for model in provider.models]
    assert choices.choose("openai/gpt-5.5", models) == "openai/gpt-5.5"
    assert choices.choose("gpt-5.5", models) == "openai/gpt-5.5"
    assert choices.choose("nobody/knows", models) == choices.PREFERRED
    assert choices.choose("", models[:1]) == models[0].name
    assert choices.choose("", []) == ""
