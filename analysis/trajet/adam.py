"""Optimizers as mathematics: one update each, in float64, every intermediate named.

A function takes a tensor, its gradient and what the optimizer remembers of the tensor, and returns a
`Step`; nothing is changed in place. The published algorithms come first; the ones called `thinc_...` do
what Thinc 8.3 does, in its order: L2 into the gradient (if so set), clip, step, decay, average.

    state = State.of(w)
    for g in gradients:
        step = adam(w, g, state, learn_rate=1e-3)
        w, state = step.w_after, step.state
"""

from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray

# Thinc's running average never forgets more slowly than this.
_MAX_AVERAGE_DECAY = 0.9999
# Thinc keeps gradients and moments in float32; what is larger becomes inf there.
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class State:
    """What an optimizer remembers of one tensor.

    Attributes:
        t: updates made so far.
        m: first moment (of momentum: the velocity), shape of the tensor.
        v: second moment, shape of the tensor.
        average: running average of the weights, where one is kept.
    """

    t: int
    m: Array
    v: Array
    average: Array | None = None

    @classmethod
    def of(cls, w: Array | float) -> "State":
        """The state before the first update of `w`: all zeros."""
        zeros = np.zeros(np.shape(w))
        return cls(0, zeros, zeros)


@dataclass(frozen=True)
class Step:
    """One update. Fields that an algorithm does not have are None; arrays have the tensor's shape.

    Attributes:
        t: number of this update, from 1.
        w: the weights before.
        g: the gradient handed in.
        learn_rate: as handed in.
        grad_norm: Euclidean norm that the clip compares (L2 in the gradient included).
        clip_factor: what the gradient was multiplied with; 1 if it was not clipped.
        g_used: the gradient after L2 and clip, which enters m and v.
        m, v: moments after this update.
        bias1, bias2: 1 - beta1^t and 1 - beta2^t.
        m_hat, v_hat: m / bias1 and v / bias2.
        effective_eps: eps in terms of sqrt(v_hat).
        rectification: RAdam's r_t; None while the variance is not yet tractable.
        effective_rate: -gradient_part / m_hat, element by element.
        gradient_part: change of the weights made by the gradient.
        decay_part: change of the weights made by decoupled weight decay.
        w_after: the weights after, w + gradient_part + decay_part.
        average: running average of the weights after this update.
    """

    t: int
    w: Array
    g: Array
    learn_rate: float
    g_used: Array
    gradient_part: Array
    decay_part: Array
    w_after: Array
    m: Array
    v: Array
    grad_norm: float | None = None
    clip_factor: float = 1.0
    bias1: float | None = None
    bias2: float | None = None
    m_hat: Array | None = None
    v_hat: Array | None = None
    effective_eps: float | None = None
    rectification: float | None = None
    effective_rate: Array | None = None
    average: Array | None = None

    @property
    def state(self) -> State:
        """What the next update starts from."""
        return State(self.t, self.m, self.v, self.average)


# -- as published ------------------------------------------------------------------------------


def sgd(w: Array, g: Array, state: State, learn_rate: float, L2: float = 0.0) -> Step:
    """Gradient descent.

        w_t = w_{t-1} - learn_rate * (g + L2 * w_{t-1})

    Source: Robbins & Monro 1951; torch.optim.SGD(momentum=0).
    """
    w, g = _arrays(w, g)
    used = g + L2 * w
    return _plain_step(w, g, used, -learn_rate * used, learn_rate, state, state.m)


def momentum(w: Array, g: Array, state: State, learn_rate: float, beta1: float = 0.9,
             dampening: float = 0.0, nesterov: bool = False) -> Step:  # fmt: skip
    """Gradient descent with momentum; with nesterov, looking ahead.

        m_t = beta1 * m_{t-1} + (1 - dampening) * g
        w_t = w_{t-1} - learn_rate * (g + beta1 * m_t  if nesterov else  m_t)

    With dampening = beta1 this is the running mean "0.9 of the past and 0.1 of the present"; with
    dampening = 0 a steady gradient moves the weight by learn_rate * g / (1 - beta1). Unlike
    torch.optim.SGD, dampening holds for the first update too.

    Source: Polyak 1964; Sutskever et al. 2013; torch.optim.SGD.
    """
    w, g = _arrays(w, g)
    m = beta1 * state.m + (1 - dampening) * g
    return _plain_step(w, g, g, -learn_rate * (g + beta1 * m if nesterov else m), learn_rate, state, m)


def rms_scaling(w: Array, g: Array, state: State, learn_rate: float, beta2: float = 0.999, eps: float = 1e-8) -> Step:
    """Gradient descent scaled by the running mean of squares, without momentum: Adam with beta1 = 0.

        v_t = beta2 * v_{t-1} + (1 - beta2) * g^2        v_hat = v_t / (1 - beta2^t)
        w_t = w_{t-1} - learn_rate * g / (sqrt(v_hat) + eps)

    Source: Tieleman & Hinton 2012 (RMSprop), with Adam's bias correction.
    """
    return adam(w, g, state, learn_rate, beta1=0.0, beta2=beta2, eps=eps)


def adam(w: Array, g: Array, state: State, learn_rate: float, beta1: float = 0.9, beta2: float = 0.999,
         eps: float = 1e-8, L2: float = 0.0) -> Step:  # fmt: skip
    """Adam, Algorithm 1.

        g' = g + L2 * w_{t-1}
        m_t = beta1 * m_{t-1} + (1 - beta1) * g'         m_hat = m_t / (1 - beta1^t)
        v_t = beta2 * v_{t-1} + (1 - beta2) * g'^2       v_hat = v_t / (1 - beta2^t)
        w_t = w_{t-1} - learn_rate * m_hat / (sqrt(v_hat) + eps)

    Source: Kingma & Ba 2015, Algorithm 1; torch.optim.Adam(weight_decay=L2).
    """
    w, g = _arrays(w, g)
    used = g + L2 * w
    step = _moments(w, g, used, state, learn_rate, beta1, beta2)
    rate = learn_rate / (np.sqrt(step.v_hat) + eps)
    return _finish(step, rate, eps)


def adam_epsilon_hat(w: Array, g: Array, state: State, learn_rate: float, beta1: float = 0.9,
                     beta2: float = 0.999, eps: float = 1e-8) -> Step:  # fmt: skip
    """Adam in the order of computation that the paper calls more efficient, its epsilon "hat".

        w_t = w_{t-1} - learn_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m_t / (sqrt(v_t) + eps)

    In terms of sqrt(v_hat) its epsilon is eps / sqrt(1 - beta2^t): 3.2e-7 at t = 1 for eps = 1e-8.

    Source: Kingma & Ba 2015, end of section 2.
    """
    w, g = _arrays(w, g)
    step = _moments(w, g, g, state, learn_rate, beta1, beta2)
    rate = learn_rate * np.sqrt(step.bias2) / (np.sqrt(step.v) + eps)
    return _finish(step, rate, _ratio(eps, np.sqrt(step.bias2)))


def adamw(w: Array, g: Array, state: State, learn_rate: float, beta1: float = 0.9, beta2: float = 0.999,
          eps: float = 1e-8, weight_decay: float = 0.01) -> Step:  # fmt: skip
    """Adam with decoupled weight decay, which shrinks the weights as they were before the step.

        w_t = w_{t-1} - learn_rate * m_hat / (sqrt(v_hat) + eps) - learn_rate * weight_decay * w_{t-1}

    Source: Loshchilov & Hutter 2019, Algorithm 2; torch.optim.AdamW.
    """
    step = adam(w, g, state, learn_rate, beta1, beta2, eps)
    decay = -learn_rate * weight_decay * step.w
    return replace(step, decay_part=decay, w_after=step.w_after + decay)


def radam(w: Array, g: Array, state: State, learn_rate: float, beta1: float = 0.9, beta2: float = 0.999,
          eps: float = 0.0, tractable_above: float = 4.0) -> Step:  # fmt: skip
    """Rectified Adam: momentum alone while few gradients were seen, then Adam with a rectified rate.

        rho_inf = 2 / (1 - beta2) - 1                    rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t)
        r_t = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
        w_t = w_{t-1} - learn_rate * m_hat * (r_t * sqrt(1 - beta2^t) / (sqrt(v_t) + eps)  if rho_t > tractable_above  else  1)

    Args:
        w: shape of the tensor.
        g: shape of the tensor.
        state: of this tensor.
        learn_rate: a number.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: the paper has none.
        tractable_above: 4 in the paper; the authors' code and torch.optim.RAdam rectify above 5, one update later.

    Source: Liu et al. 2020, Algorithm 2.
    """
    w, g = _arrays(w, g)
    step = _moments(w, g, g, state, learn_rate, beta1, beta2)
    rectification = _rectification(step.t, beta2, tractable_above)
    if rectification is None:
        return _finish(step, np.full_like(w, learn_rate), None)
    rate = learn_rate * rectification * np.sqrt(step.bias2) / (np.sqrt(step.v) + eps)
    return replace(_finish(step, rate, _ratio(eps, np.sqrt(step.bias2))), rectification=rectification)


# -- as Thinc does it --------------------------------------------------------------------------


@dataclass(frozen=True)
class ThincSettings:
    """The settings of a Thinc optimizer, under the names that configs give them.

    Attributes:
        learn_rate: of this update; schedules are the caller's.
        lr_scale: factor on the rate of one call (`Optimizer.__call__`'s argument).
    """

    learn_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    L2: float = 0.0
    grad_clip: float = 0.0
    L2_is_weight_decay: bool = True
    use_averages: bool = False
    lr_scale: float = 1.0


def thinc_adam(w: Array, g: Array, state: State, settings: ThincSettings) -> Step:
    """Thinc's Adam.v1: epsilon-hat, one clip a tensor, decay after the step.

        g' = clip(g, or g + L2 * w_{t-1} if L2 is not weight decay)
        w' = w_{t-1} - lr_scale * learn_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m_t / (sqrt(v_t) + eps)
        w_t = w' - lr_scale * learn_rate * L2 * w'       if L2 is weight decay

    A g'^2 beyond the range of float32 becomes inf, as there, and such a weight does not move. With
    beta2 = 0 Thinc silently does `thinc_sgd`, and so does this.

    Raises:
        NotImplementedError: beta1 = 0 and beta2 > 0, as Thinc.

    Source: Thinc 8.3, optimizers.py (`Optimizer.__call__`, `_adam`), backends/numpy_ops.pyx (`adam`).
    """
    if settings.beta2 <= 0:
        return thinc_sgd(w, g, state, settings)
    if settings.beta1 <= 0:
        raise NotImplementedError("Thinc has no Adam.v1 with beta1 = 0 and beta2 > 0")
    w, g, used, norm, factor = _thinc_gradient(w, g, settings)
    step = _moments(w, g, used, state, settings.learn_rate, settings.beta1, settings.beta2, largest=_FLOAT32_MAX)
    rate = settings.lr_scale * settings.learn_rate * np.sqrt(step.bias2) / (np.sqrt(step.v) + settings.eps)
    step = _finish(step, rate, _ratio(settings.eps, np.sqrt(step.bias2)))
    return _thinc_end(replace(step, grad_norm=norm, clip_factor=factor), state, settings)


def thinc_radam(w: Array, g: Array, state: State, settings: ThincSettings) -> Step:
    """Thinc's RAdam.v1: its factors are those of update t + 1, it rectifies from update 5, and lr_scale reaches only the decay.

    Source: Thinc 8.3, optimizers.py (`_radam`).
    """
    w, g, used, norm, factor = _thinc_gradient(w, g, settings)
    step = _moments(w, g, used, state, settings.learn_rate, settings.beta1, settings.beta2,
                    correct_as=state.t + 2, largest=_FLOAT32_MAX)  # fmt: skip
    rectification = _rectification(state.t + 2, settings.beta2, np.nextafter(5, 0))
    if rectification is None:
        step = _finish(step, np.full_like(w, settings.learn_rate), None)
    else:
        rate = settings.learn_rate * rectification * np.sqrt(step.bias2) / (np.sqrt(step.v) + settings.eps)
        step = replace(_finish(step, rate, _ratio(settings.eps, np.sqrt(step.bias2))), rectification=rectification)
    return _thinc_end(replace(step, grad_norm=norm, clip_factor=factor), state, settings)


def thinc_sgd(w: Array, g: Array, state: State, settings: ThincSettings) -> Step:
    """Thinc's SGD.v1: no momentum; clip and decay as in `thinc_adam`.

    Source: Thinc 8.3, optimizers.py (`Optimizer.__call__`).
    """
    w, g, used, norm, factor = _thinc_gradient(w, g, settings)
    part = -settings.lr_scale * settings.learn_rate * used
    step = _plain_step(w, g, used, part, settings.learn_rate, state, state.m)
    return _thinc_end(replace(step, grad_norm=norm, clip_factor=factor), state, settings)


def thinc_clip(g: Array, threshold: float) -> tuple[Array, float, float]:
    """(gradient, its norm, factor): scaled to length `threshold` if it is as long or longer.

        g' = g * threshold / ||g||   if ||g|| >= threshold

    The norm is taken in float32, as in a training: it overflows to inf from about 1.8e19, and then the
    whole gradient becomes 0; an infinite entry becomes nan, the others 0; a nan is let through.

    Source: Thinc 8.3, backends/ops.py (`clip_gradient`).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.linalg.norm(np.asarray(g, dtype=np.float32)))
        if not norm >= threshold:
            return g, norm, 1.0
        factor = threshold / norm
        return g * factor, norm, factor


# -- pieces ------------------------------------------------------------------------------------


def _arrays(w: Array, g: Array) -> tuple[Array, Array]:
    w, g = np.asarray(w, dtype=np.float64), np.asarray(g, dtype=np.float64)
    if w.shape != g.shape:
        raise ValueError(f"weights of shape {w.shape}, gradient of shape {g.shape}")
    return w, g


def _plain_step(w: Array, g: Array, used: Array, part: Array, learn_rate: float, state: State, m: Array) -> Step:
    with np.errstate(invalid="ignore"):
        return Step(state.t + 1, w, g, learn_rate, used, part, np.zeros_like(w), w + part, m, state.v)


def _moments(w: Array, g: Array, used: Array, state: State, learn_rate: float, beta1: float, beta2: float,
             correct_as: int | None = None, largest: float = np.inf) -> Step:  # fmt: skip
    # The step is filled in by `_finish`; `correct_as` is the t of the bias correction where it is not the update's.
    t = state.t + 1
    with np.errstate(over="ignore", invalid="ignore"):
        squared = np.where(used**2 > largest, np.inf, used**2)
        m = beta1 * state.m + (1 - beta1) * used
        v = beta2 * state.v + (1 - beta2) * squared
        bias1, bias2 = 1 - beta1 ** (correct_as or t), 1 - beta2 ** (correct_as or t)
        nothing = np.zeros_like(w)
        return Step(t, w, g, learn_rate, used, nothing, nothing, w, m, v,
                    bias1=bias1, bias2=bias2, m_hat=m / bias1, v_hat=v / bias2)  # fmt: skip


def _finish(step: Step, rate: Array, effective_eps: float | None) -> Step:
    with np.errstate(over="ignore", invalid="ignore"):
        part = -rate * step.m_hat
        return replace(
            step, effective_rate=rate, effective_eps=effective_eps, gradient_part=part, w_after=step.w + part
        )


def _rectification(t: int, beta2: float, tractable_above: float) -> float | None:
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * t * beta2**t / (1 - beta2**t)
    if not length > tractable_above:
        return None
    return float(np.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)))


def _thinc_gradient(w: Array, g: Array, settings: ThincSettings) -> tuple[Array, Array, Array, float | None, float]:
    w, g = _arrays(w, g)
    used = g if settings.L2_is_weight_decay else g + settings.L2 * w
    if not settings.grad_clip:
        return w, g, used, None, 1.0
    used, norm, factor = thinc_clip(used, settings.grad_clip)
    return w, g, used, norm, factor


def _thinc_end(step: Step, state: State, settings: ThincSettings) -> Step:
    decay = np.zeros_like(step.w)
    if settings.L2 and settings.L2_is_weight_decay:
        decay = -settings.lr_scale * settings.learn_rate * settings.L2 * step.w_after
    with np.errstate(invalid="ignore"):
        after = step.w_after + decay
    average = None
    if settings.use_averages:
        before = np.zeros_like(after) if state.average is None else state.average
        kept = min((1 + step.t) / (10 + step.t), _MAX_AVERAGE_DECAY)
        average = before - (1 - kept) * (before - after)
    return replace(step, decay_part=decay, w_after=after, average=average)


def _ratio(eps: float, scale: float) -> float:
    return float(eps / scale)


# -- as this project's optimizers do it ------------------------------------------------------------


def thinc_momentum(w: Array, g: Array, state: State, settings: ThincSettings, beta1: float = 0.9,
                   dampening: float = 0.0, nesterov: bool = False) -> Step:  # fmt: skip
    """Momentum in Thinc's order: trajet.SGD.v1.

        g' = clip(g, or g + L2 * w_{t-1} if L2 is not weight decay)
        m_t = beta1 * m_{t-1} + (1 - dampening) * g'
        w' = w_{t-1} - lr_scale * learn_rate * (g' + beta1 * m_t  if nesterov else  m_t)
        w_t = w' - lr_scale * learn_rate * L2 * w'       if L2 is weight decay

    Args:
        settings: its betas and eps are not used.
        beta1: the momentum.

    Source: `momentum`, with Thinc's clip, decay and average around it.
    """
    w, g, used, norm, factor = _thinc_gradient(w, g, settings)
    with np.errstate(over="ignore", invalid="ignore"):
        step = momentum(w, used, state, settings.lr_scale * settings.learn_rate, beta1, dampening, nesterov)
    step = replace(step, g=g, learn_rate=settings.learn_rate, grad_norm=norm, clip_factor=factor)
    return _thinc_end(step, state, settings)


def thinc_adamw(w: Array, g: Array, state: State, settings: ThincSettings) -> Step:
    """AdamW with Thinc's clip before and its average after it: trajet.AdamW.v1.

        g' = clip(g)
        w_t = w_{t-1} - lr_scale * learn_rate * (L2 * w_{t-1} + m_hat / (sqrt(v_hat) + eps))

    A g'^2 beyond the range of float32 becomes inf, as in `thinc_adam`. For a tensor that does not decay, L2 is 0.

    Source: `adamw`; Loshchilov & Hutter 2019, Algorithm 2.
    """
    settings = replace(settings, L2_is_weight_decay=True)
    w, g, used, norm, factor = _thinc_gradient(w, g, settings)
    step = _moments(w, g, used, state, settings.learn_rate, settings.beta1, settings.beta2, largest=_FLOAT32_MAX)
    scaled = settings.lr_scale * settings.learn_rate
    step = _finish(step, scaled / (np.sqrt(step.v_hat) + settings.eps), settings.eps)
    decay = -scaled * settings.L2 * step.w
    with np.errstate(invalid="ignore"):
        step = replace(step, decay_part=decay, w_after=step.w_after + decay, grad_norm=norm, clip_factor=factor)
    return replace(step, average=_average(step, state, settings))


def proximal_l1(step: Step, state: State, threshold: float, settings: ThincSettings | None = None) -> Step:
    """Another step, and after it every weight goes towards 0 by `threshold` and stops there.

        w_t = sign(w') * max(|w'| - threshold, 0)        w' = step.w_after

    What it takes is counted to the decay.

    Args:
        step: of any function here.
        state: of the tensor before the step.
        threshold: learn_rate * L1, and lr_scale where there is one.
        settings: whether averages are kept; they are of the weights after the threshold.

    Source: Duchi & Singer 2009 (FOBOS), section 5.1; Parikh & Boyd 2014, section 6.5.2.
    """
    with np.errstate(invalid="ignore"):
        after = np.sign(step.w_after) * np.maximum(np.abs(step.w_after) - threshold, 0)
        step = replace(step, decay_part=step.decay_part + (after - step.w_after), w_after=after)
    return step if settings is None else replace(step, average=_average(step, state, settings))


def _average(step: Step, state: State, settings: ThincSettings) -> Array | None:
    # Of weights that are already decayed: `_thinc_end` has nothing to add but the average.
    return _thinc_end(step, state, replace(settings, L2=0.0)).average
