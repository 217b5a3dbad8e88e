// What a measurement says, from its points in pixels; the server computes the same (apps/imaging/measuring.py).
import { positionOf } from "./geometry.js";

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

const whole = (value) => String(Math.round(value)).replace("-", "−");
const fine = (value) => value.toFixed(1).replace("-", "−");

const LINES = {
  length: ([a, b], instance) => [`${fine(length(a, b, instance))} ${unitOf(instance)}`],
  bidirectional: (points, instance) => {
    const [long, short] = twoAxes(points, instance);
    return [`${fine(long)} × ${fine(short)} ${unitOf(instance)}`];
  },
  ellipse: (points, instance, hu) => {
    const { area, mean, sd, min, max } = ellipse(points, instance, hu);
    if (mean === undefined) return ["no pixel inside"];
    return [`mean ${fine(mean)} HU, SD ${fine(sd)}`, `${whole(min)} to ${whole(max)} HU`, `${whole(area)} ${unitOf(instance)}²`];
  },
  probe: ([point], instance, hu) => {
    const [row, column] = point.map((value) => Math.floor(value + 0.5));
    if (!(row >= 0 && column >= 0 && row < instance.rows && column < instance.columns)) return ["outside the image"];
    const place = instance.placed ? `${positionOf(instance, row, column).map(fine).join(", ")} mm` : "position unknown";
    return [`${whole(hu[row * instance.columns + column])} HU`, place, `row ${row}, column ${column}`];
  },
};
const unitOf = (instance) => (instance.calibrated ? "mm" : "px");

/** What stands beside a measurement of `points` on a slice; nothing is interpolated. */
export const linesOf = (kind, points, instance, hu) => LINES[kind](points, instance, hu);

/** Who measured, and when. */
export function signature(author, at) {
  const when = new Date(at).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  return `${author}, ${when}`;
}
