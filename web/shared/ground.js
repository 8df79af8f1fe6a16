// Areas on the ground, as GeoJSON geometries. Pure: it imports nothing.
export const polygon = (corners) => ({ type: "Polygon", coordinates: [[...corners, corners[0]].map(({ lat, lng }) => [lng, lat])] });

// By the even-odd rule, so holes and several parts count as what they are.
export function inside({ type, coordinates }, { lat, lng }) {
  let odd = false;
  for (const ring of type === "Polygon" ? coordinates : coordinates.flat()) {
    for (let n = 1; n < ring.length; n++) {
      const [x, y] = ring[n - 1], [x2, y2] = ring[n];
      if (y > lat !== y2 > lat && lng < x + ((lat - y) / (y2 - y)) * (x2 - x)) odd = !odd;
    }
  }
  return odd;
}
