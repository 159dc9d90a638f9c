"""Hanging callbacks on a spaCy training, from `[training.before_update]`, and taking them off again.

spaCy calls that callback before each step with the pipeline and the step, never with the optimizer, and says
nothing when a training ends. One step of its loop is

    before_update(nlp, {"step": ..., "epoch": ...})
    nlp.update(...)                        accumulate_gradient times, sgd=False: gradients only
    component.finish_update(optimizer)     of each trained component, in pipeline order
    optimizer.step_schedules()
    nlp.evaluate(...)                      every eval_frequency steps

So at the first step `nlp.update` and `nlp.evaluate` are replaced on this one `nlp`, and the root model of each
component gets a subclass of its own class with another `finish_update` (an EntityRecognizer is a Cython class: its
own methods cannot be replaced). One `Hooks` does it for all callbacks of a training, so that they need not know of
each other. It is taken off when another training of the same `nlp` begins, also one without callbacks: an update
that no callback announced belongs to somebody else. Nothing of it is saved with the pipeline.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import Model, Optimizer

# Where an nlp keeps its hooks.
_PLACE = "_trajet_hooks"


class Hook:
    """What one callback wants to be told of in one training; each method may be left as it is.

    Attributes:
        observes: it looks on only, and stands behind all others: it sees their examples and their optimizer.
    """

    observes = False

    def on_update(self, update: Callable, examples: list[Example], **settings: Any) -> dict[str, float]:
        """Around `nlp.update`, which is `update(examples, **settings)`; `settings` always has `losses`."""
        return update(examples, **settings)

    def on_gradients(self, optimizer: Optimizer) -> None:
        """All gradients of the step are complete, none is used yet. `optimizer` is the one that the loop uses."""

    def on_finish_update(self, component: str, finish: Callable[[Any], None], optimizer: Optimizer) -> None:
        """Around one component's `finish_update(optimizer)`, which is `finish(optimizer)`."""
        finish(optimizer)

    def on_evaluated(self, examples: list[Example], scores: dict[str, Any]) -> None:
        """The loop has evaluated after this step."""

    def on_removed(self) -> None:
        """The training is over and its hooks come off."""


class Hooks:
    """The hooks of one training on one `nlp`; get them from `hooks_of`. `with` takes them off where an error is raised.

    Attributes:
        step: as spaCy counts, from 0.
        members: who is told, those that only observe last.
        exclude, annotates: as the loop hands them to `nlp.update`.
        active: not yet removed.
    """

    def __init__(self, nlp: Language):
        self.nlp = nlp
        self.step = -1
        self.members: list[Hook] = []
        self.exclude: tuple[str, ...] = ()
        self.annotates: tuple[str, ...] = ()
        self.active = True
        # Methods that somebody had replaced on this nlp before.
        self._before: dict[str, Callable] = {}
        self._updating = self._evaluated = False
        self._finished: set[str] = set()
        self._undo: list[Callable[[], None]] = []
        for name in trained_components(nlp):
            self._hook_component(name)
        self._hook_method("update", self._on_update)
        self._hook_method("evaluate", self._on_evaluate)
        vars(nlp)[_PLACE] = self

    def __enter__(self) -> "Hooks":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self.remove()

    def update(self, *args: Any, **settings: Any) -> dict[str, float]:
        """The pipeline's own `nlp.update`, past all hooks."""
        return self._own("update")(*args, **settings)

    def evaluate(self, *args: Any, **settings: Any) -> dict[str, Any]:
        """The pipeline's own `nlp.evaluate`, past all hooks."""
        return self._own("evaluate")(*args, **settings)

    def join(self, member: Hook) -> None:
        """Tell `member` from now on."""
        self.members = sorted([*self.members, member], key=lambda one: one.observes)

    def override(self, model: Model, **methods: Callable) -> None:
        """Give `model` a subclass of its own class with these methods, until the hooks come off."""
        original = type(model)
        hooked = type(original.__name__, (original,), {"__slots__": (), "__module__": original.__module__, **methods})
        model.__class__ = hooked

        def undo() -> None:
            # Where somebody else's class lies on top, ours stays below it and lets everything through.
            if type(model) is hooked:
                model.__class__ = original

        self._undo.append(undo)

    def remove(self) -> None:
        """Take everything off again; a second time is no harm."""
        if not self.active:
            return
        self.active = False
        for member in self.members:
            member.on_removed()
        for undo in reversed(self._undo):
            undo()
        if vars(self.nlp).get(_PLACE) is self:
            del vars(self.nlp)[_PLACE]

    def _begin_step(self, step: int) -> bool:
        """Whether `step` can be this training's; one that lies behind is another training's."""
        if step < self.step or (step == self.step and self._updating):
            return False
        if step > self.step:
            self.step, self._updating, self._evaluated, self._finished = step, False, False, set()
        return True

    def _hook_component(self, component: str) -> None:
        model = self.nlp.get_pipe(component).model  # type: ignore[attr-defined]
        original = type(model)

        def finish_update(hooked: Model, optimizer: Optimizer) -> None:
            self._on_finish_update(component, functools.partial(original.finish_update, hooked), optimizer)

        self.override(model, finish_update=finish_update)

    def _hook_method(self, name: str, replacement: Callable) -> None:
        attributes = vars(self.nlp)
        if name in attributes:
            self._before[name] = attributes[name]

        @functools.wraps(getattr(self.nlp, name))
        def hooked(*args, **kwargs):
            return replacement(*args, **kwargs)

        def undo() -> None:
            if attributes.get(name) is hooked:
                del attributes[name]
                if name in self._before:
                    attributes[name] = self._before[name]

        attributes[name] = hooked
        self._undo.append(undo)

    def _own(self, name: str) -> Callable:
        # Looked up anew each time, as Python would.
        return self._before.get(name) or functools.partial(getattr(type(self.nlp), name), self.nlp)

    def _on_update(self, examples: Iterable[Example], _: Any = None, **settings: Any) -> dict[str, float]:
        if self._finished:
            self.remove()
        if not self.active or _ is not None:
            return self.update(examples, _, **settings)
        self._updating = True
        if settings.get("losses") is None:
            settings["losses"] = {}
        self.exclude, self.annotates = tuple(settings.get("exclude", ())), tuple(settings.get("annotates", ()))
        update: Callable = self.update
        for member in reversed(self.members):
            update = functools.partial(member.on_update, update)
        return update(list(examples), **settings)

    def _on_finish_update(self, component: str, finish: Callable[[Any], None], optimizer: Optimizer) -> None:
        if component in self._finished:
            self.remove()
        if not self.active:
            return finish(optimizer)
        if not self._finished:
            for member in self.members:
                member.on_gradients(optimizer)
        self._finished.add(component)
        for member in reversed(self.members):
            finish = functools.partial(member.on_finish_update, component, finish)
        return finish(optimizer)

    def _on_evaluate(self, examples: Iterable[Example], **settings: Any) -> dict[str, Any]:
        # The loop's own evaluation is the first one after the updates of a step.
        if not self.active or self._evaluated or not self._finished:
            return self.evaluate(examples, **settings)
        self._evaluated = True
        examples = list(examples)
        scores = self.evaluate(examples, **settings)
        for member in self.members:
            member.on_evaluated(examples, scores)
        return scores


class TrainingCallback(Hook):
    """A callback for `[training.before_update]` that changes a training.

    Attributes:
        hooks: of the training under way; None before the first.
    """

    hooks: Hooks | None = None

    def __call__(self, nlp: Language, info: dict[str, Any]) -> None:
        """Called by spaCy before each update with {"step", "epoch"}."""
        with hooks_of(nlp, info["step"]) as hooks:
            if hooks is not self.hooks:
                if self.hooks is not None:
                    self.hooks.remove()
                self.hooks = hooks
                self.on_start(hooks)
                hooks.join(self)
            self.on_step(info["step"])

    def on_start(self, hooks: Hooks) -> None:
        """A training begins, perhaps not the first of this callback."""

    def on_step(self, step: int) -> None:
        """A step begins."""


def hooks_of(nlp: Language, step: int) -> Hooks:
    """The hooks of the training whose step begins; those of an earlier training on the same `nlp` come off."""
    hooks = vars(nlp).get(_PLACE)
    if hooks is not None and not hooks._begin_step(step):
        hooks.remove()
        hooks = None
    if hooks is None:
        hooks = Hooks(nlp)
        hooks._begin_step(step)
    return hooks


def trained_components(nlp: Language, exclude: Iterable[str] = ()) -> list[str]:
    """Names of the components that the training loop updates, in its order and by its own rule."""
    return [
        name
        for name, pipe in nlp.pipeline
        if name not in exclude
        and getattr(pipe, "is_trainable", False)
        and isinstance(getattr(pipe, "model", None), Model)
    ]
