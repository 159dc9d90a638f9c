"""A file of variants whose trainings take seconds: the real base config, small, on the small corpus."""

from pathlib import Path
from typing import Any

from thinc.api import Config

from tests.conftest import ROOT

_FILE = """\
always:
  training.max_steps: ${budget}
  training.patience: 0
  training.eval_frequency: ${budget * 0.5}
  training.before_update: null
groups:
  base:
    base:
      question: What does the base reach?
      base: small.cfg
      use_averages: false
  clip:
    clip-none:
      question: Does it learn without the clip?
      base: small.cfg
      use_averages: false
      overrides:
        training.optimizer.grad_clip: 0.0
  defect:
    impossible:
      question: What is said of a training that cannot begin?
      base: small.cfg
      use_averages: false
      overrides:
        training.optimizer.beta1: 0.0
"""


def write_small_variants(folder: Path, overrides: dict[str, Any]) -> Path:
    """Write small.cfg and variants.yml into `folder`: base, clip-none, and `impossible`, which Thinc refuses to train.

    Args:
        folder: for both.
        overrides: that make configs/base.cfg small (the fixture of the same name).
    Returns:
        Path of variants.yml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = Config().from_disk(ROOT / "configs" / "base.cfg", interpolate=False, overrides=overrides)
    config["training"]["before_update"] = None
    config.to_disk(folder / "small.cfg")
    path = folder / "variants.yml"
    path.write_text(_FILE, encoding="utf8")
    return path
