"""What is wrong with a figure or a price book, in words that can be translated where people read them. Pure."""


class Fault(ValueError):
    """A refusal. `words` are English, `%(name)s` where a value stands; a value may be an error itself."""

    def __init__(self, words: str, **values: object) -> None:
        super().__init__(words % values)
        self.words = words
        self.values = values
