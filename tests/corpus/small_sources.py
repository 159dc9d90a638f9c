"""A folder of sources with few frames: the real places and fillers, some of the real frames."""

import shutil
from pathlib import Path

from tests.conftest import ROOT

FRAMES = ("frames/plain.txt", "frames/stations.txt", "frames/via.txt", "frames/pairs.txt", "negatives/past-trips.txt")


def small_sources(folder: Path) -> Path:
    """Copy them into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("places", "fillers"):
        shutil.copytree(ROOT / "corpus" / name, folder / name)
    for name in FRAMES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "corpus" / name, folder / name)
    return folder
