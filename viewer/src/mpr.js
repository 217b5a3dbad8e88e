// Axial, coronal and sagittal side by side with one crosshair. The other planes are cut out of the slices as they
// are, voxel by voxel: no value is interpolated, no second copy of the volume is kept, and no WebGL is needed.
import { CanvasScreen } from "./canvas_screen.js";
import { element, svg } from "./dom.js";
import { columnCosines, directionOnScreen, distance, letters, normal, placement, positionOf, rowCosines, toPixel, toScreen } from "./geometry.js";
import { Marks } from "./marks.js";
import { clamp, FRESH } from "./view.js";

const SIDES = { right: [1, 0], left: [-1, 0], top: [0, -1], bottom: [0, 1] };
const NAMES = { H: "Axial", F: "Axial", A: "Coronal", P: "Coronal", L: "Sagittal", R: "Sagittal" };
const TOO_LARGE = "This series is too large for the other planes on this computer.";
const minus = (text) => text.replace(/-/g, "−");

class Pane {
  constructor(kind, onPoint, onStep) {
    this.port = element("div", { class: `ctv-pane ctv-pane-${kind}`, "data-plane": kind, tabindex: "0", role: "group" });
    this.screen = new CanvasScreen(this.port);
    this.marks = new Marks(this.port);
    this.cross = svg("svg", { class: "ctv-cross", "aria-hidden": "true" });
    this.name = element("div", { class: "ctv-pane-name" });
    this.letters = Object.fromEntries(Object.keys(SIDES).map((side) => [side, element("div", { class: `ctv-letter ctv-letter-${side}` })]));
    this.port.append(this.cross, this.name, ...Object.values(this.letters));
    const point = (event) => {
      const box = this.port.getBoundingClientRect();
      onPoint(kind, toPixel(this.place, event.clientX - box.left, event.clientY - box.top));
    };
    this.port.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.port.setPointerCapture(event.pointerId);
      point(event);
    });
    this.port.addEventListener("pointermove", (event) => event.buttons & 1 && point(event));
    this.port.addEventListener("wheel", (event) => {
      event.preventDefault();
      onStep(kind, Math.sign(event.deltaY));
    }, { passive: false });
    this.port.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      onStep(kind, step);
    });
  }

  draw(plane, hu, at, view, findings) {
    const { clientWidth: width, clientHeight: height } = this.port;
    if (!width || !height) return;
    this.place = placement(plane, { ...FRESH }, width, height);
    this.screen.draw(plane, hu, view, this.place);
    this.marks.follow(findings.marks);
    this.marks.draw(plane, findings.byId, this.place);
    const [x, y] = toScreen(this.place, at.row, at.column);
    this.cross.replaceChildren(
      svg("path", { class: "ctv-halo", d: `M0 ${y}H${width}M${x} 0V${height}` }),
      svg("path", { class: "ctv-cross-line", d: `M0 ${y}H${x - 14}M${x + 14} ${y}H${width}M${x} 0V${y - 14}M${x} ${y + 14}V${height}` }));
    const name = NAMES[letters(normal(plane))[0]];
    this.name.textContent = name;
    this.port.setAttribute("aria-label", `${name} plane`);
    for (const [side, [dx, dy]] of Object.entries(SIDES)) this.letters[side].textContent = letters(directionOnScreen(plane, this.place, dx, dy));
  }
}

export class Mpr {
  #cut = new Map(); // kind -> { key, hu }

  constructor(viewer, instances, slices) {
    Object.assign(this, { viewer, instances, slices });
    const { rows, columns } = instances[0];
    this.at = { row: Math.floor(rows / 2), column: Math.floor(columns / 2) };
    this.spacing = distance(instances[0], instances.at(-1)) / (instances.length - 1);
    this.panes = Object.fromEntries(["axial", "coronal", "sagittal"].map((kind) =>
      [kind, new Pane(kind, (...point) => this.#point(...point), (...step) => this.#step(...step))]));
    this.words = element("div", { class: "ctv-mpr-words", "data-mpr": "words", role: "status" });
    this.root = element("div", { class: "ctv-mpr", "data-mpr": true }, ...Object.values(this.panes).map((pane) => pane.port), this.words);
    this.tooLarge = !slices.fits;
    if (this.tooLarge) this.#onlyAxial();
    this.sizes = new ResizeObserver(() => viewer.repaint());
    this.sizes.observe(this.root);
  }

  /** A plane through slices of which some are always missing would look like a whole one. */
  #onlyAxial() {
    const { axial, coronal, sagittal } = this.panes;
    coronal.port.hidden = sagittal.port.hidden = true;
    axial.port.style.gridArea = "1 / 1 / -1 / -1";
    this.words.style.whiteSpace = "pre-wrap";
  }

  close() {
    this.sizes.disconnect();
    this.root.remove();
  }

  /** Slice, row and column of the crosshair are the same voxel in all three planes. */
  draw(index, view, findings) {
    const last = this.instances.length - 1;
    const { row, column } = this.at;
    const axial = this.slices.get(index);
    if (axial) this.panes.axial.draw(this.instances[index], axial, { row, column }, view, findings);
    this.#say(index, axial);
    if (this.tooLarge) return;
    this.panes.coronal.draw(this.#plane("coronal"), this.#values("coronal", row), { row: last - index, column }, view, findings);
    this.panes.sagittal.draw(this.#plane("sagittal"), this.#values("sagittal", column), { row: last - index, column: row }, view, findings);
  }

  #say(index, axial) {
    const { row, column } = this.at;
    const here = this.instances[index];
    const hu = axial && `${axial[row * here.columns + column]} HU`;
    const mm = positionOf(here, row, column).map((value) => value.toFixed(1)).join(", ");
    this.words.textContent = minus([hu, `${mm} mm`, this.#missing].filter(Boolean).join("   "));
  }

  get #missing() {
    if (this.tooLarge) return `\n${TOO_LARGE}`;
    const { count } = this.slices;
    return count < this.instances.length ? `fetching ${count} of ${this.instances.length} images` : "";
  }

  /** A cut as if it were an image of its own: head up, its rows the slices from last to first. */
  #plane(kind) {
    const { at, instances, spacing } = this;
    const last = instances.at(-1);
    const down = normal(last).map((part) => -part);
    const coronal = kind === "coronal";
    return {
      ...last, rows: instances.length, columns: coronal ? last.columns : last.rows, rowSpacing: spacing,
      columnSpacing: coronal ? last.columnSpacing : last.rowSpacing,
      position: coronal ? positionOf(last, at.row, 0) : positionOf(last, 0, at.column),
      orientation: [...(coronal ? rowCosines(last) : columnCosines(last)), ...down],
    };
  }

  #values(kind, offset) {
    const key = `${offset} ${this.slices.changes}`;
    const known = this.#cut.get(kind);
    if (known?.key === key) return known.hu;
    const hu = this.#cutAt(kind, offset);
    this.#cut.set(kind, { key, hu });
    return hu;
  }

  #cutAt(kind, offset) {
    const { rows, columns } = this.instances[0];
    const count = this.instances.length;
    const wide = kind === "coronal" ? columns : rows;
    const hu = new Int16Array(count * wide).fill(-32768);
    for (let index = 0; index < count; index++) {
      const slice = this.slices.get(index);
      if (!slice) continue;
      const to = (count - 1 - index) * wide;
      if (kind === "coronal") hu.set(slice.subarray(offset * columns, (offset + 1) * columns), to);
      else for (let row = 0; row < rows; row++) hu[to + row] = slice[row * columns + offset];
    }
    return hu;
  }

  #point(kind, { row, column }) {
    const [r, c] = [Math.round(row), Math.round(column)];
    if (kind === "axial") this.#move({ row: r, column: c });
    else {
      this.#move(kind === "coronal" ? { column: c } : { row: c });
      this.viewer.show(this.instances.length - 1 - r);
    }
  }

  #step(kind, step) {
    if (kind === "axial") this.viewer.step(step);
    else this.#move(kind === "coronal" ? { row: this.at.row + step } : { column: this.at.column + step });
  }

  /** Puts the crosshair on a pixel of the slice on screen. */
  goTo(row, column) {
    this.#move({ row: Math.round(row), column: Math.round(column) });
  }

  #move(to) {
    const { rows, columns } = this.instances[0];
    const { row, column } = { ...this.at, ...to };
    this.at = { row: clamp(row, 0, rows - 1), column: clamp(column, 0, columns - 1) };
    this.viewer.repaint();
  }
}
