// What a measurement says, from its points in pixels; the server computes the same (apps/imaging/measuring.py).

const steps = (a, b, { rowSpacing, columnSpacing }) => [(a[0] - b[0]) * rowSpacing, (a[1] - b[1]) * columnSpacing];

/** Distance in mm between two points [row, column]. */
export const length = (a, b, instance) => Math.hypot(...steps(a, b, instance));

/** The longer and the shorter of two lines given as four points. */
export function twoAxes([a, b, c, d], instance) {
  const axes = [length(a, b, instance), length(c, d, instance)];
  return [Math.max(...axes), Math.min(...axes)];
}

/** Mean, SD, least and most of the pixels whose centres lie inside; whole pixels, nothing interpolated. */
export function ellipse([a, b, c, d], instance, hu) {
  const middle = [0, 1].map((i) => (a[i] + b[i] + c[i] + d[i]) / 4);
  const halves = [steps(b, a, instance), steps(d, c, instance)].map(([down, right]) => [down / 2, right / 2]);
  const reach = Math.hypot(...halves[0]) + Math.hypot(...halves[1]);
  const inside = [];
  const between = (at, spacing, count) => [Math.max(Math.floor(at - reach / spacing), 0), Math.min(Math.ceil(at + reach / spacing), count - 1)];
  const [top, bottom] = between(middle[0], instance.rowSpacing, instance.rows);
  const [left, right] = between(middle[1], instance.columnSpacing, instance.columns);
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const [y, x] = steps([row, column], middle, instance);
      const parts = halves.map(([h, w]) => (y * h + x * w) / Math.max(h * h + w * w, 1e-12));
      if (parts[0] ** 2 + parts[1] ** 2 <= 1 + 1e-9) inside.push(hu[row * instance.columns + column]);
    }
  }
  const area = (Math.PI * length(a, b, instance) * length(c, d, instance)) / 4;
  if (!inside.length) return { area, pixels: 0 };
  const mean = inside.reduce((sum, value) => sum + value, 0) / inside.length;
  const sd = Math.sqrt(inside.reduce((sum, value) => sum + (value - mean) ** 2, 0) / inside.length);
  return { area, pixels: inside.length, mean, sd, min: Math.min(...inside), max: Math.max(...inside) };
}
