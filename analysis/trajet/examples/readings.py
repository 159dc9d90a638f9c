"""Every plausible reading of the source's update at step 100, W = 0.5, as a row.

The source writes W_new = W x (1 - 0.01) - 2e-5 x m / sqrt(v) and arrives at 0.4951. What it leaves open
is varied: the history behind m and v, the number of the update, the bias correction, the decay, the sign.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from trajet.examples.libraries import thinc_update, torch_update

WEIGHT = 0.5
STATED = 0.4951
BETA1, BETA2, EPS, L2 = 0.9, 0.999, 1e-8, 0.01
PEAK, WARMUP = 5e-5, 250

DECAYS = {
    "document": "W x (1 - 0.01)",
    "Thinc": "learn_rate x 0.01 x W",
    "in the gradient": "g + 0.01 x W",
}


@dataclass(frozen=True)
class History:
    """What lies behind m and v: so many earlier updates with the same gradient.

    Attributes:
        name: for the table.
        t: number of this update, which the bias correction uses.
        earlier: updates before this one.
        learn_rate: of this update.
    """

    name: str
    t: int
    earlier: int
    learn_rate: float


HISTORIES = (
    History("no history: update 1 at the rate of step 100", 1, 0, 2e-5),
    History("no history, corrected as if it were update 100", 100, 0, 2e-5),
    History("same gradient since the start, update 100 at 2e-5", 100, 99, 2e-5),
    History("same gradient since the start, update 100 as spaCy counts (step 99)", 100, 99, PEAK * 99 / WARMUP),
    History("same gradient since the start, update 101 as spaCy counts (step 100)", 101, 100, PEAK * 100 / WARMUP),
)


@dataclass(frozen=True)
class Reading:
    """One reading and what it gives.

    Attributes:
        history: behind m and v.
        corrected: whether m and v are divided by 1 - beta^t.
        decay: key of DECAYS.
        gradient: +0.2 as written, or -0.2 ("the weight must increase").
        float64: new W.
        float32: new W, every operation in float32.
        thinc: new W by Thinc, where it can do this.
        torch: new W by torch, where it can and is installed.
    """

    history: History
    corrected: bool
    decay: str
    gradient: float
    float64: float
    float32: float
    thinc: float | None
    torch: float | None

    @property
    def gives_stated(self) -> bool:
        """Whether it rounds to the document's 0.4951."""
        return round(self.float64, 4) == STATED

    @property
    def departures(self) -> list[str]:
        """How it departs from what a library does with a gradient that must raise W."""
        found = []
        if self.decay == "document":
            found.append("decay misread")
        if not self.corrected:
            found.append("bias correction left out")
        if self.history.t != self.history.earlier + 1:
            found.append("correction of another update")
        if self.gradient > 0:
            found.append("sign: W falls")
        return found


def readings() -> list[Reading]:
    """All of them, in the order of the table."""
    rows = []
    for history, corrected, decay, gradient in itertools.product(HISTORIES, (True, False), DECAYS, (0.2, -0.2)):
        if not corrected and history.t != history.earlier + 1:
            # Without a correction its number does not matter: the row would repeat the first history.
            continue
        thinc = torch = None
        if corrected and decay != "document" and history.t == history.earlier + 1:
            gradients, rates = [gradient] * history.t, [history.learn_rate] * history.t
            decoupled = decay == "Thinc"
            thinc = float(thinc_update(WEIGHT, gradients, rates, L2_is_weight_decay=decoupled).w[0])
            updated = torch_update(WEIGHT, gradients, rates, L2, decoupled)
            torch = None if updated is None else float(updated.w[0])
        values = [float(update(history, corrected, decay, gradient, kind)) for kind in (np.float64, np.float32)]
        rows.append(Reading(history, corrected, decay, gradient, *values, thinc, torch))
    return rows


def update(history: History, corrected: bool, decay: str, gradient: float, kind: type = np.float64) -> np.floating:
    """The new W of one reading, every operation in `kind`; W is 0.5 whatever came before.

    W - learn_rate * m / (sqrt(v) + eps) - decay, m and v divided by 1 - beta^t if `corrected`
    """
    w, beta1, beta2, rate = (kind(value) for value in (WEIGHT, BETA1, BETA2, history.learn_rate))
    one = kind(1)
    g = kind(gradient) + kind(L2) * w if decay == "in the gradient" else kind(gradient)
    m = v = kind(0)
    for _ in range(history.earlier + 1):
        m = beta1 * m + (one - beta1) * g
        v = beta2 * v + (one - beta2) * g * g
    if corrected:
        m, v = m / (one - beta1 ** kind(history.t)), v / (one - beta2 ** kind(history.t))
    part = rate * m / (np.sqrt(v) + kind(EPS))
    if decay == "document":
        return w * (one - kind(L2)) - part
    if decay == "Thinc":
        moved = w - part
        return moved - rate * kind(L2) * moved
    return w - part
