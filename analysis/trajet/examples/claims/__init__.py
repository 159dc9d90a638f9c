"""The source document sentence by sentence: what is right, imprecise or wrong, with the right statement and its numbers."""

from trajet.examples.claims import clipping, closing, decay, descent, moments, warmup
from trajet.examples.claims.claim import Claim


def claims() -> list[Claim]:
    """All of them, in the document's order."""
    return [claim() for module in (descent, moments, warmup, clipping, decay, closing) for claim in module.CLAIMS]


__all__ = ["Claim", "claims"]
