"""What is drawn of an extract whose edge cuts through shores and parks."""

from __future__ import annotations

import pytest
import shapely
from shapely.geometry import LineString, box

from onward.demo import bundled_helsinki
from onward.maps.osm import Extract, read_extract, sea

FRAME = box(24.9312, 60.1602, 24.9574, 60.1831)


@pytest.fixture(scope="module")
def helsinki() -> Extract:
    """The bundled extract: a rectangle cut out of the middle of the city."""
    return read_extract(bundled_helsinki(), lambda _what, _share: None)


@pytest.mark.parametrize(
    ("name", "lng", "lat", "wet"),
    [
        ("Kaisaniemenlahti", 24.9467, 60.1767, True),
        ("Siltavuorensalmi", 24.9530, 60.1773, True),
        ("Töölönlahti", 24.9362, 60.1785, True),
        ("Siltasaari", 24.9500, 60.1790, False),
        ("Kaisaniemi park", 24.9445, 60.1755, False),
        ("the railway yard", 24.9395, 60.1765, False),
    ],
)
def test_bays_that_the_edge_cuts_are_water(helsinki: Extract, name: str, lng: float, lat: float, wet: bool) -> None:
    """The shores end where the file ends; what lies between them is water all the same."""
    water = sea(helsinki.shores, FRAME)
    assert any(piece.contains(shapely.Point(lng, lat)) for piece in water) is wet, name


def test_water_is_on_the_right_of_a_shore() -> None:
    """A shore drawn northwards has the sea in the east, drawn southwards in the west, and none has none."""
    frame = box(0, 0, 1, 1)
    cut = LineString([(0.5, 0.004), (0.5, 0.3), (0.5, 0.995)])
    (east,) = sea([cut], frame)
    assert east.bounds == pytest.approx((0.5, 0, 1, 1))
    (west,) = sea([cut.reverse()], frame)
    assert west.bounds == pytest.approx((0, 0, 0.5, 1))
    assert sea([], frame) == []


def test_parks_that_the_edge_cuts_are_green(helsinki: Extract) -> None:
    """Kaisaniemi's park runs out of the file."""
    green = [geometry for layer, properties, geometry in helsinki.features if properties.get("kind") == "green"]
    assert any(geometry.bounds[3] > 60.1790 for geometry in green)
