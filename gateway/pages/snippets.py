"""What the examples on the pages are filled in with."""

from django.http import HttpRequest

from gateway.models import Model

EXAMPLE_MODEL = "openai/gpt-5.5"


def snippet_context(request: HttpRequest) -> dict[str, str]:
    """`base_url` and `example_model` for templates/parts/snippets.html."""
    return {
        "base_url": request.build_absolute_uri("/v1"),
        "example_model": example_model(),
    }


def example_model() -> str:
    """A model for the snippets: the shortest name of one that may be called."""
    chat = Model.objects.filter(is_enabled=True, mode="chat").order_by("-name")
    model = chat.filter(name=EXAMPLE_MODEL).first() or chat.first()
    if model is None:
        return EXAMPLE_MODEL
    aliases: list[str] = model.aliases
    return min([model.name, *aliases], key=len)
