"""A bare Thinc loop, with every optimizer, with torch parameters, and with its schedules stepped."""

from pathlib import Path

import numpy as np
import pytest
from thinc.api import SGD, Adam, Model, Optimizer, RAdam, Relu, Softmax, chain, fix_random_seed, warmup_linear

from trajet.errors import UserError
from trajet.trace import read_trace, trace_updates


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 6)).astype("float32"), np.eye(3, dtype="float32")[rng.integers(3, size=20)]


def _model() -> Model:
    fix_random_seed(0)
    X, Y = _data()
    return chain(Relu(8), Relu(8), Softmax(3)).initialize(X=X, Y=Y)


def _train(model: Model, optimizer: Optimizer, path: Path | None, steps: int = 12, **settings) -> bytes:
    X, Y = _data()

    def run(update) -> None:
        for _ in range(steps):
            predicted, backprop = model.begin_update(X)
            backprop(predicted - Y)
            update(optimizer, losses={"mse": float(((predicted - Y) ** 2).sum())}, docs=len(X)) if path else update(
                optimizer
            )

    if path is None:

        def plain(optimizer: Optimizer) -> None:
            model.finish_update(optimizer)
            optimizer.step_schedules()

        run(plain)
    else:
        with trace_updates(model, path, **settings) as update:
            run(update)
    return model.to_bytes()


OPTIMIZERS = {
    "adam": lambda: Adam(warmup_linear(0.01, 4, 20), L2=0.01, use_averages=False),
    "adam with L2 in the gradient": lambda: Adam(0.01, L2=0.1, L2_is_weight_decay=False),
    "radam": lambda: RAdam(0.01),
    "sgd": lambda: SGD(0.1, L2=0.01, grad_clip=0.5),
    "no clip": lambda: Adam(0.01, grad_clip=0.0),
}


@pytest.mark.parametrize("level", ["tensors", "full"])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_loop_is_not_changed_and_the_parts_add_up(tmp_path: Path, make, level: str) -> None:
    watch = ["model/relu-1/W[2,3]"]
    assert _train(_model(), make(), tmp_path / "t.jsonl", level=level, watch=watch) == _train(_model(), make(), None)
    trace = read_trace(tmp_path / "t.jsonl")
    assert list(trace.steps["step"]) == list(range(12))
    assert trace.parameters == [f"model/{name}/{p}" for name in ("relu-0", "relu-1", "softmax-0") for p in ("W", "b")]
    watched = trace.watched
    assert (watched["w_after"].to_numpy()[:-1] == watched["w"].to_numpy()[1:]).all()
    # 9 digits name a float32: read back as one, the weights are exact.
    change = watched["w_after"].astype("float32").astype(float) - watched["w"].astype("float32").astype(float)
    assert (watched["gradient_part"] + watched["decay_part"]).to_numpy() == pytest.approx(
        change.to_numpy(), rel=1e-7, abs=1e-14
    )
    assert watched["m"].isna().all() == (make().b1 == 0)
    expected = make()
    clip = (np.sqrt(trace.tensors["grad_norm"] ** 2) >= expected.grad_clip) & bool(expected.grad_clip)
    if expected.L2_is_weight_decay or not expected.L2:
        assert (trace.tensors["clipped"] == clip).all()


def test_a_decay_beyond_the_weight_itself_has_a_length_above_0(tmp_path: Path) -> None:
    # learn_rate * L2 = 1.5: each update leaves a weight at -0.5 of what the gradient made it.
    _train(_model(), SGD(0.1, L2=15.0, grad_clip=0.5), tmp_path / "t.jsonl")
    tensors = read_trace(tmp_path / "t.jsonl").tensors
    assert tensors["decay_part_norm"].to_numpy() == pytest.approx(3 * tensors["weight_norm"].to_numpy(), rel=1e-5)


def test_the_schedule_moves_on(tmp_path: Path) -> None:
    _train(_model(), OPTIMIZERS["adam"](), tmp_path / "t.jsonl")
    rates = read_trace(tmp_path / "t.jsonl").steps["learn_rate"].tolist()
    assert rates[0] == 0
    assert rates[:6] == pytest.approx([0.0, 0.0025, 0.005, 0.0075, 0.01, 0.009375])


def test_every_and_bad_settings(tmp_path: Path) -> None:
    _train(_model(), Adam(0.01), tmp_path / "t.jsonl", every=5)
    assert read_trace(tmp_path / "t.jsonl").steps["step"].tolist() == [0, 5, 10]
    with pytest.raises(UserError, match="every = 0"), trace_updates(_model(), tmp_path / "x.jsonl", every=0):
        pass
    with (
        pytest.raises(UserError, match="nearest is"),
        trace_updates(_model(), tmp_path / "x.jsonl", watch=["model/relu-2/W[0,0]"]),
    ):
        pass


class Home(Optimizer):
    """An optimizer of somebody's own, whose formula the trace cannot know."""

    def __call__(self, key, weights, gradient, *, lr_scale=1.0):
        weights -= 0.01 * np.sign(gradient)
        gradient *= 0
        return weights, gradient


def test_columns_of_thincs_formula_are_null_for_an_unknown_optimizer(tmp_path: Path) -> None:
    _train(_model(), Home(0.01), tmp_path / "t.jsonl")
    tensors = read_trace(tmp_path / "t.jsonl").tensors
    assert tensors["decay_part_norm"].isna().all()
    assert tensors["gradient_part_norm"].isna().all()
    assert (tensors["update_norm"] > 0).any()


def test_torch_parameters_keep_their_dotted_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    def make() -> Model:
        fix_random_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
        X, Y = _data()
        return chain(PyTorchWrapper(module), Softmax(3, nI=4)).initialize(X=X, Y=Y)

    traced = _train(make(), OPTIMIZERS["adam"](), tmp_path / "t.jsonl", watch=["model/pytorch-0/2.weight[1,:]"])
    assert traced == _train(make(), OPTIMIZERS["adam"](), None)
    trace = read_trace(tmp_path / "t.jsonl")
    assert trace.parameters == [
        "model/pytorch-0/0.weight", "model/pytorch-0/0.bias", "model/pytorch-0/2.weight", "model/pytorch-0/2.bias",
        "model/softmax-0/W", "model/softmax-0/b",
    ]  # fmt: skip
    assert len(trace.tensors) == 12 * 6
    assert len(trace.watched) == 12 * 5


def test_a_torch_parameter_that_shares_its_key_with_a_thinc_layer(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    class Clash(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = torch.nn.Parameter(torch.ones(4, 6))

        def forward(self, x):
            return x @ self.W.T

    X, Y = _data()
    wrapped = PyTorchWrapper(Clash())
    model = chain(wrapped, Softmax(3, nI=4)).initialize(X=X, Y=Y)
    # What happens by accident in long sessions is done on purpose here.
    wrapped.shims[0].id = model.layers[1].id
    optimizer = SGD(0.01, grad_clip=0.0, L2=0.0, use_averages=False)
    _train(model, optimizer, tmp_path / "t.jsonl", steps=3)
    table = read_trace(tmp_path / "t.jsonl").tensors
    assert table[table["parameter"] == "model/pytorch-0/W"]["size"].tolist() == [24] * 3
    assert table[table["parameter"] == "model/softmax-0/W"]["size"].tolist() == [12] * 3


def test_on_a_gpu_nothing_is_copied_to_the_host_tensor_by_tensor(tmp_path: Path) -> None:
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no GPU at hand")
    from thinc.api import require_gpu, use_ops

    require_gpu()
    with use_ops("cupy"):
        X, Y = _data()
        model = _model()
        model.to_gpu(0)
        copies = []
        original = cupy.ndarray.get

        class Counting:
            def __enter__(self):
                cupy.ndarray.get = lambda self, *a, **k: copies.append(self.size) or original(self, *a, **k)

            def __exit__(self, *_):
                cupy.ndarray.get = original

        with Counting(), trace_updates(model, tmp_path / "t.jsonl") as update:
            for _ in range(5):
                predicted, backprop = model.begin_update(cupy.asarray(X))
                backprop(predicted - cupy.asarray(Y))
                update(Adam(0.01))
        assert len(copies) == 5
