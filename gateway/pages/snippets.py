"""What the examples on the pages are filled in with."""

from django.http import HttpRequest

from gateway.models import Model

EXAMPLE_MODEL = "openai/gpt-5.5"
EXAMPLE_CLAUDE = "anthropic/claude-sonnet-4-6"


def snippet_context(request: HttpRequest) -> dict[str, str]:
    """`base_url` (ending in /v1), `root_url`, and the models that templates/parts/snippets.html names."""
    return {
        "base_url": request.build_absolute_uri("/v1"),
        "root_url": request.build_absolute_uri("/").rstrip("/"),
        "example_model": example_model(),
        "example_claude": example_model(EXAMPLE_CLAUDE, "anthropic"),
    }


def example_model(preferred: str = EXAMPLE_MODEL, provider: str = "") -> str:
    """A chat model that may be called, by its shortest name: the preferred one, else one of the provider, else any."""
    chat = Model.objects.filter(is_enabled=True, mode="chat").order_by("-name")
    model = (
        chat.filter(name=preferred).first()
        or chat.filter(provider=provider).first()
        or chat.first()
    )
    if model is None:
        return EXAMPLE_MODEL
    aliases: list[str] = model.aliases
    return min([model.name, *aliases], key=len)
