"""Reading spaCy configs with errors a user can mend."""

from pathlib import Path

from spacy.util import load_config as spacy_load_config
from thinc.api import Config

from trajet.errors import UserError
from trajet.files import read_text


def load_config(path: Path, overrides: dict[str, object] | None = None) -> Config:
    """A config with its variables filled in.

    Raises:
        UserError: the file is missing or not a valid config.
    """
    read_text(path, "give the path of a spaCy config, for example configs/base.cfg")
    try:
        return spacy_load_config(path, overrides=overrides or {}, interpolate=True)
    except Exception as error:  # confection and configparser have no common base
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a valid config: {reason[:300]}") from None


def seed_of(config: Config, path: Path) -> int:
    """The seed of a config's [system] section.

    Raises:
        UserError: there is none; everything random here takes it from there.
    """
    seed = config.get("system", {}).get("seed")
    if not isinstance(seed, int):
        raise UserError(f"{path}: [system] has no whole number seed; add `seed = 0` there")
    return seed
