"""Measuring one update of all tensors, from inside the calls that make it.

`finish_update` hands each tensor to the optimizer; `Measurer` stands in for the optimizer, looks at the
tensor before and after, and lets the real optimizer do its work untouched. Sums are taken where the
arrays live and fetched once a step: on a GPU there is one copy to the host a step, not one a tensor.

The two parts of an update follow Thinc's formula; an optimizer of another formula tells them
(trajet.training.formula.TellsItsFormula), and of any other they stay unknown.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from thinc.api import Optimizer, get_array_module

from trajet.trace.format import FULL_COLUMNS, TENSOR_COLUMNS, WATCHED_COLUMNS
from trajet.trace.parameters import Key, Parameter, Watch
from trajet.training.formula import decays_like_thinc, effective_eps_of, share_of_result, tells_its_formula


@dataclass
class Measured:
    """One update: a list per column, index-aligned with the parameters, and the watched weights."""

    columns: dict[str, list[float | None]]
    watched: list[dict[str, list[float] | None] | None]
    global_grad_norm: float = math.nan
    global_update_norm: float = math.nan
    tensors_updated: int = 0
    tensors_clipped: int = 0


@dataclass
class _Call:
    """What one call of the optimizer left to be fetched: scalars on the device, factors on the host."""

    index: int
    sums: list = field(default_factory=list)
    clip: float = 0.0
    # What a global clip multiplies the gradient with after this was measured.
    global_factor: float = 1.0
    # Thinc's decay as a share of the final weights; None if it is told or unknown.
    decay: float | None = None
    # Of a told decay: the squared norms of both parts, nothing if there was no decay.
    parts: list | None = None
    effective_eps: float | None = None
    has_previous: bool = False
    moments: list[str] = field(default_factory=list)
    watched: dict[int, tuple[list, list[str]]] = field(default_factory=dict)


class Measurer:
    """Stands in for the optimizer in `finish_update`; everything but the call itself is the optimizer's.

    Args:
        optimizer: the real one.
        parameters: of the run, in header order.
        level: "steps" and "tensors" measure alike; "full" adds moments and directions, and keeps
            a copy of each gradient until the next update.
        watches: single weights to keep.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Parameter], level: str, watches: Sequence[Watch]):
        self.recorded_optimizer = optimizer
        self.parameters = list(parameters)
        self.reshaped = False
        self._full = level == "full"
        real = real_optimizer(optimizer)
        self._follows_thinc = decays_like_thinc(real)
        self._tells = tells_its_formula(real)
        self._by_key: dict[Key, deque[int]] = defaultdict(deque)
        for index, parameter in enumerate(self.parameters):
            self._by_key[parameter.key].append(index)
        names = {parameter.name: index for index, parameter in enumerate(self.parameters)}
        self._watches: dict[int, list[int]] = defaultdict(list)
        self._flat: list[np.ndarray] = [watch.flat for watch in watches]
        for number, watch in enumerate(watches):
            # A reshaped or vanished tensor cannot be watched any more.
            if watch.name in names and watch.flat.max(initial=0) < self.parameters[names[watch.name]].size:
                self._watches[names[watch.name]].append(number)
        self._scratch: dict[tuple, object] = {}
        self._previous: dict[int, object] = {}
        self._calls: list[_Call] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.recorded_optimizer, name)

    def use(self, optimizer: Optimizer) -> "Measurer":
        """Stand in for this optimizer from now on."""
        self.recorded_optimizer = optimizer
        return self

    def __call__(self, key: Key, weights, gradient, *, lr_scale: float = 1.0):
        optimizer = self.recorded_optimizer
        queue = self._by_key.get(key)
        if queue and weights.size == self.parameters[queue[0]].size:
            # A torch parameter may share its key with a Thinc layer of the same id: they come in header order.
            index = queue[0]
            queue.rotate(-1)
        else:
            self.reshaped = True
            return optimizer(key, weights, gradient, lr_scale=lr_scale)
        call = _Call(index)
        xp = get_array_module(weights)
        before = self._scratch_like(xp, weights)
        xp.copyto(before, weights.reshape(-1))
        grad = gradient.reshape(-1)
        call.clip = float(optimizer.grad_clip or 0.0)
        call.global_factor = getattr(optimizer, "gradient_factor", 1.0)
        l2 = float(optimizer.L2)
        decays = l2 != 0 and optimizer.L2_is_weight_decay
        grad_squared = grad.dot(grad)
        # With L2 in the gradient, what Thinc clips is the sum of the two.
        clipped_squared = grad_squared
        if l2 != 0 and not decays:
            total = grad + l2 * before
            clipped_squared = total.dot(total)
        for number in self._watches.get(index, ()):
            flat = xp.asarray(self._flat[number])
            call.watched[number] = ([before[flat], grad[flat]], ["w", "g"])
        kept = grad.copy() if self._full else None

        result = optimizer(key, weights, gradient, lr_scale=lr_scale)

        after = result[0].reshape(-1)
        told = optimizer.decay_part(key, before, after, lr_scale) if self._tells else None
        update = xp.subtract(after, before, out=before)
        call.sums = [grad_squared, clipped_squared, after.dot(after), update.dot(update), update.dot(after)]
        if self._follows_thinc:
            factor = lr_scale * float(optimizer.learn_rate) * l2 if decays else 0.0
            call.decay = share_of_result(factor)
        elif self._tells:
            call.parts = _squared_parts(update, told)
        for number, (arrays, names) in call.watched.items():
            flat = xp.asarray(self._flat[number])
            # What there is of them: momentum has no v, plain descent neither.
            found = {"m": optimizer.mom1.get(key), "v": optimizer.mom2.get(key), "w_after": after, "decay_part": told}
            names += [name for name, array in found.items() if array is not None]
            arrays += [array.reshape(-1)[flat] for array in found.values() if array is not None]
        if self._full:
            self._measure_full(call, optimizer, key, kept, update)
        self._calls.append(call)
        return result

    def take(self) -> Measured:
        """The update measured since the last `take`, and forget it."""
        calls, self._calls = self._calls, []
        _fetch(calls)
        size = len(self.parameters)
        names = TENSOR_COLUMNS + (FULL_COLUMNS if self._full else ())
        columns: dict[str, list[float | None]] = {name: [None] * size for name in names}
        watched: list[dict | None] = [None] * len(self._flat)
        grad_total = update_total = 0.0
        clipped_total = 0
        for call in calls:
            grad_sq, clipped_sq, weight_sq, update_sq, cross = call.sums[:5]
            index = call.index
            # In float32, as Thinc compares them.
            clipped = bool(call.clip) and bool(np.sqrt(np.float32(clipped_sq)) >= call.clip)
            columns["grad_norm"][index] = math.sqrt(grad_sq)
            columns["clipped"][index] = int(clipped)
            columns["weight_norm"][index] = math.sqrt(weight_sq)
            columns["update_norm"][index] = math.sqrt(update_sq)
            if call.decay is not None:
                part = update_sq + 2 * call.decay * cross + call.decay**2 * weight_sq
                columns["gradient_part_norm"][index] = math.sqrt(max(part, 0.0))
                columns["decay_part_norm"][index] = abs(call.decay) * math.sqrt(weight_sq)
            elif call.parts is not None:
                decay_sq, gradient_sq = call.parts or (0.0, update_sq)
                columns["gradient_part_norm"][index] = math.sqrt(gradient_sq)
                columns["decay_part_norm"][index] = math.sqrt(decay_sq)
            if self._full:
                self._full_columns(columns, call, grad_sq, update_sq)
            for number, (arrays, kept) in call.watched.items():
                # As Thinc scales them: threshold / norm.
                factor = call.clip / math.sqrt(clipped_sq) if clipped else call.global_factor
                values = dict(zip(kept, arrays, strict=True))
                watched[number] = _watched_row(values, factor, call.decay, call.parts is not None)
            grad_total += grad_sq
            update_total += update_sq
            clipped_total += clipped
        return Measured(columns, watched, math.sqrt(grad_total), math.sqrt(update_total), len(calls), clipped_total)

    def _scratch_like(self, xp, weights):
        # One buffer, as large as the largest tensor, serves all tensors of a device and type.
        key = (xp, getattr(weights, "device", None), weights.dtype)
        buffer = self._scratch.get(key)
        if buffer is None or buffer.size < weights.size:  # type: ignore[attr-defined]
            largest = max(weights.size, max((p.size for p in self.parameters), default=0))
            buffer = self._scratch[key] = xp.empty(largest, dtype=weights.dtype)
        return buffer[: weights.size]  # type: ignore[index]

    def _measure_full(self, call, optimizer, key, kept, update) -> None:
        call.has_previous = call.index in self._previous and self._previous[call.index].size == kept.size
        call.sums.append(update.dot(kept))
        for name, store in (("mom1", optimizer.mom1), ("mom2", optimizer.mom2)):
            if key in store:
                moment = store[key].reshape(-1)
                call.moments.append(name)
                call.sums.append(moment.dot(moment))
        call.effective_eps = effective_eps_of(real_optimizer(optimizer), key)
        if call.has_previous:
            previous = self._previous[call.index]
            call.sums += [kept.dot(previous), previous.dot(previous)]
        self._previous[call.index] = kept

    def _full_columns(self, columns, call, grad_sq, update_sq) -> None:
        rest = call.sums[5:]
        columns["cos_update_descent"][call.index] = _cosine(-rest.pop(0), update_sq, grad_sq)
        for name in call.moments:
            columns[f"{name}_norm"][call.index] = math.sqrt(rest.pop(0))
        columns["effective_eps"][call.index] = call.effective_eps
        if call.has_previous:
            columns["cos_previous_gradient"][call.index] = _cosine(rest[0], grad_sq, rest[1])


def real_optimizer(optimizer: object) -> object:
    """The optimizer behind any number of stand-ins."""
    while hasattr(optimizer, "recorded_optimizer"):
        optimizer = optimizer.recorded_optimizer
    return optimizer


def _cosine(product: float, first_squared: float, second_squared: float) -> float | None:
    length = math.sqrt(first_squared) * math.sqrt(second_squared)
    return product / length if length > 0 else None


def _squared_parts(update, decay) -> list:
    """Squared norms of the decay part and of the rest, the gradient part; nothing without a decay."""
    if decay is None:
        return []
    rest = update - decay
    return [decay.dot(decay), rest.dot(rest)]


def _watched_row(
    arrays: dict[str, np.ndarray], clip_factor: float, decay: float | None, told: bool
) -> dict[str, list[float] | None]:
    """The columns of a watched weight; the decay by its formula, the rest of the change is the gradient's.

    Args:
        arrays: w, g, w_after; m, v and decay_part where there are such.
        decay: Thinc's, as a share of the final weights.
        told: whether the optimizer told its decay; no decay_part means none then.
    """
    values = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    w, after = values["w"], values["w_after"]
    if decay is not None:
        values["decay_part"] = -decay * after
    elif told:
        values.setdefault("decay_part", np.zeros_like(w))
    if "decay_part" in values:
        values["gradient_part"] = after - w - values["decay_part"]
    row: dict[str, list[float] | None] = dict.fromkeys(WATCHED_COLUMNS)
    row.update({name: value.tolist() for name, value in values.items()}, clip_factor=[clip_factor] * w.size)
    return row


def _fetch(calls: list[_Call]) -> None:
    """Bring all device values of a step to the host: nothing to do for numpy, one copy for a GPU."""
    device: list = []
    for call in calls:
        for arrays in [call.sums, call.parts or [], *(watched[0] for watched in call.watched.values())]:
            for position, array in enumerate(arrays):
                if isinstance(array, np.generic):
                    arrays[position] = float(array)
                elif not isinstance(array, np.ndarray):
                    device.append((arrays, position, array))
    if device:
        xp = get_array_module(device[0][2])
        joined = xp.concatenate([array.reshape(-1).astype("float32") for _, _, array in device]).get()
        start = 0
        for arrays, position, array in device:
            piece = joined[start : start + array.size]
            start += array.size
            arrays[position] = float(piece[0]) if array.ndim == 0 else piece
