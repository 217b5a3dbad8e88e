// How a slice is looked at: { index, center, width, lut, zoom, panX, panY, rotation, flipHorizontal, flipVertical, invert }.
// Each function takes a view and gives what changes in it.

export const FRESH = { zoom: 1, panX: 0, panY: 0, rotation: 0, flipHorizontal: false, flipVertical: false, invert: false };
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A quarter turn clockwise; what is in the middle of the screen stays there. */
export const rotated = (view) => ({ rotation: (view.rotation + 90) % 360, panX: -view.panY, panY: view.panX });

/** Turns over what is seen, whatever the rotation is: on a picture lying on its side the file's other axis flips. */
export function flipped(view, axis) {
  const swapped = view.rotation % 180 !== 0;
  const key = (axis === "horizontal") !== swapped ? "flipHorizontal" : "flipVertical";
  return { [key]: !view[key], ...(axis === "horizontal" ? { panX: -view.panX } : { panY: -view.panY }) };
}

/** Zooms around a point of the screen area, which stays where it is. */
export function zoomed(view, factor, at, { width, height }) {
  const zoom = clamp(view.zoom * factor, 0.2, 20);
  const real = zoom / view.zoom;
  const keep = (pan, point, size) => (pan + size / 2 - point) * real + point - size / 2;
  return { zoom, panX: keep(view.panX, at.x, width), panY: keep(view.panY, at.y, height) };
}

export const moved = (view, dx, dy) => ({ panX: view.panX + dx, panY: view.panY + dy });

/** Window by drag: right is wider, down is a higher level; wide windows move faster. */
export function windowDragged(view, dx, dy) {
  const speed = Math.max(view.width / 600, 0.5);
  return windowed(view.center + dy * speed, view.width + dx * speed);
}

/** A window takes the place of a table of the file (`lut`). */
export const windowed = (center, width) => ({ center: clamp(center, -32768, 32767), width: clamp(width, 1, 65536), lut: null });

/** What the server keeps of a view. */
export const presentationOf = (view) => ({
  window_center: Math.round(view.center),
  window_width: Math.max(Math.round(view.width), 1),
  voi_lut: view.lut,
  rotation: view.rotation,
  flip_horizontal: view.flipHorizontal,
  flip_vertical: view.flipVertical,
});

export const viewOf = (presentation) => ({
  center: presentation.window_center,
  width: presentation.window_width,
  lut: presentation.voi_lut,
  rotation: presentation.rotation,
  flipHorizontal: presentation.flip_horizontal,
  flipVertical: presentation.flip_vertical,
});
