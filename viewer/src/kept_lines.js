// Draws what was measured and kept, where there is no WebGL to measure with.
import { svg } from "./dom.js";
import { toScreen } from "./geometry.js";
import { linesOf, signature } from "./measuring.js";

const LINE_HIGH = 18;
const CROSS = 6;

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The outline of a kind from its points on screen, as an SVG path. */
const SHAPES = {
  length: path,
  bidirectional: ([a, b, c, d]) => path([a, b]) + path([c, d]),
  ellipse: ([a, b, c, d]) => {
    const middle = [0, 1].map((i) => (a[i] + b[i] + c[i] + d[i]) / 4);
    const [one, other] = [[a, b], [c, d]].map(([from, to]) => [(to[0] - from[0]) / 2, (to[1] - from[1]) / 2]);
    const round = Array.from({ length: 49 }, (_, at) => (at * Math.PI) / 24);
    return path(round.map((t) => [0, 1].map((i) => middle[i] + Math.cos(t) * one[i] + Math.sin(t) * other[i])));
  },
  probe: ([[x, y]]) => `M${x - CROSS} ${y}H${x + CROSS}M${x} ${y - CROSS}V${y + CROSS}`,
};

export class KeptLines {
  #kept = [];

  constructor(port) {
    this.root = svg("svg", { class: "ctv-kept", role: "group", "aria-label": "Measurements" });
    port.append(this.root);
  }

  add(measurement, instance) {
    this.#kept.push({ ...measurement, instance });
  }

  draw(instance, hu, place) {
    const here = this.#kept.filter((one) => one.instance === instance);
    this.root.replaceChildren(...here.map((one) => this.#picture(one, hu, place)));
  }

  #picture({ kind, points, instance, author, created_at: at }, hu, place) {
    const seen = points.map(([row, column]) => toScreen(place, row, column));
    const lines = [...linesOf(kind, points, instance, hu), signature(author, at)];
    const x = Math.max(...seen.map((one) => one[0])) + 10;
    const toLeft = x + 170 > place.width;
    const left = toLeft ? Math.min(...seen.map((one) => one[0])) - 10 : x;
    const top = Math.min(Math.max(...seen.map((one) => one[1])), place.height - LINE_HIGH * lines.length);
    const words = lines.map((line, number) => svg("text", { x: left, y: top + LINE_HIGH * number, "text-anchor": toLeft ? "end" : "start" }, line));
    const shape = SHAPES[kind](seen);
    return svg("g", {}, svg("path", { class: "ctv-halo", d: shape }), svg("path", { d: shape }), ...words);
  }

  remove() {
    this.root.remove();
  }
}
