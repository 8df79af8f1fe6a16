"""Which of the imported maps is served."""

from __future__ import annotations

from pathlib import Path

from onward.config import Settings
from onward.maps.store import INFO_FILE, map_of, maps_folder, no_map


def test_the_only_map_needs_no_name_and_of_several_one_is_asked_for(tmp_path: Path) -> None:
    """A named one is that one; a name that was not imported is told, with those that were."""
    unnamed, named = Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, map_name="gozo")
    assert map_of(unnamed) is None
    assert no_map(unnamed).startswith("No map was imported: run `onward map import")
    malta = maps_folder(tmp_path) / "malta"
    malta.mkdir(parents=True)
    (malta / INFO_FILE).touch()
    assert map_of(unnamed) == malta
    assert map_of(named) is None
    assert no_map(named).startswith("There is no map called gozo: choose one of malta")
    gozo = maps_folder(tmp_path) / "gozo"
    gozo.mkdir()
    (gozo / INFO_FILE).touch()
    assert map_of(unnamed) is None
    assert no_map(unnamed).startswith("Several maps were imported: choose one of gozo, malta")
    assert map_of(named) == gozo
