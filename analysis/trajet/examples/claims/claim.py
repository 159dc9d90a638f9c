"""One sentence of the source and what is to be said about it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Claim:
    """A sentence and its judgement.

    Attributes:
        ident: short name.
        quote: the document's words.
        verdict: right, imprecise or wrong.
        truth: the right statement; `{name}` or `{name:.2f}` stands for a number.
        numbers: computed, by name.
    """

    ident: str
    quote: str
    verdict: str
    truth: str
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def statement(self) -> str:
        """The right statement with its numbers."""
        return self.truth.format(**self.numbers)
