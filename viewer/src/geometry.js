// From pixels to patient to screen and back. Pixel (0, 0) is the centre of the first pixel (PS3.3 C.7.6.2.1.1).

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

export const rowCosines = (instance) => instance.orientation.slice(0, 3);
export const columnCosines = (instance) => instance.orientation.slice(3, 6);
export const normal = (instance) => cross(rowCosines(instance), columnCosines(instance));

/** Patient position in mm of a pixel (fractions allowed). */
export function positionOf(instance, row, column) {
  const along = rowCosines(instance);
  const down = columnCosines(instance);
  return [0, 1, 2].map(
    (i) => instance.position[i] + along[i] * column * instance.columnSpacing + down[i] * row * instance.rowSpacing,
  );
}

/** The [row, column] in pixels (fractions) of a patient position in mm. */
export function pointAt(instance, position) {
  const from = position.map((value, i) => value - instance.position[i]);
  return [dot(from, columnCosines(instance)) / instance.rowSpacing, dot(from, rowCosines(instance)) / instance.columnSpacing];
}

/** The pixel {row, column} of a slice that is nearest to a patient position in mm. */
export function pixelAt(instance, position) {
  const [row, column] = pointAt(instance, position).map((value) => Math.floor(value + 0.5));
  return { row, column };
}

/** Where a slice lies along its normal, in patient mm. */
export const along = (instance) => dot(normal(instance), instance.position);

/** How far along the normal of `from` the slice `to` lies, in mm. */
export function distance(from, to) {
  return dot(normal(from), to.position.map((value, i) => value - from.position[i]));
}

/** The letters of the patient's side into which a direction points: L, R, A, P, H, F (PS3.3 C.7.6.1.1.1). */
export function letters(direction) {
  const sides = [["L", "R"], ["P", "A"], ["H", "F"]];
  return [0, 1, 2]
    .filter((axis) => Math.abs(direction[axis]) > 0.2)
    .sort((a, b) => Math.abs(direction[b]) - Math.abs(direction[a]))
    .map((axis) => sides[axis][direction[axis] > 0 ? 0 : 1])
    .slice(0, 2)
    .join("");
}

/**
 * Where the pixels of a slice lie on a screen area of `width` x `height` CSS pixels.
 * Flips come first, then the clockwise rotation, then zoom (1 = the slice fills the area) and pan (CSS pixels).
 */
export function placement(instance, view, width, height) {
  const { rows, columns, rowSpacing, columnSpacing } = instance;
  const turned = view.rotation % 180 !== 0;
  const wide = columns * columnSpacing;
  const high = rows * rowSpacing;
  const fit = Math.min(width / (turned ? high : wide), height / (turned ? wide : high));
  const scale = fit * view.zoom;
  const angle = (view.rotation * Math.PI) / 180;
  const cos = Math.round(Math.cos(angle));
  const sin = Math.round(Math.sin(angle));
  const flipX = view.flipHorizontal ? -1 : 1;
  const flipY = view.flipVertical ? -1 : 1;
  // Screen steps of one pixel to the right (column) and down (row) in the file.
  const column = [cos * flipX * columnSpacing * scale, sin * flipX * columnSpacing * scale];
  const row = [-sin * flipY * rowSpacing * scale, cos * flipY * rowSpacing * scale];
  const middle = [(columns - 1) / 2, (rows - 1) / 2];
  const origin = [
    width / 2 + view.panX - column[0] * middle[0] - row[0] * middle[1],
    height / 2 + view.panY - column[1] * middle[0] - row[1] * middle[1],
  ];
  return { scale, column, row, origin, width, height };
}

/** CSS pixels of a file's pixel. */
export function toScreen(place, row, column) {
  return [
    place.origin[0] + place.column[0] * column + place.row[0] * row,
    place.origin[1] + place.column[1] * column + place.row[1] * row,
  ];
}

/** The pixel {row, column} (fractions) under a point in CSS pixels. */
export function toPixel(place, x, y) {
  const [a, b] = place.column;
  const [c, d] = place.row;
  const dx = x - place.origin[0];
  const dy = y - place.origin[1];
  const determinant = a * d - b * c;
  return { column: (d * dx - c * dy) / determinant, row: (a * dy - b * dx) / determinant };
}

/** Patient direction (unit vector) of a step on the screen. */
export function directionOnScreen(instance, place, x, y) {
  const start = toPixel(place, 0, 0);
  const end = toPixel(place, x, y);
  const from = positionOf(instance, start.row, start.column);
  const to = positionOf(instance, end.row, end.column);
  const step = to.map((value, i) => value - from[i]);
  const length = Math.hypot(...step) || 1;
  return step.map((value) => value / length);
}
