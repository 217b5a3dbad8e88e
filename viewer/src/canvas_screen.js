// Draws a slice without WebGL. Also what is on screen in the first moments, while the WebGL part still loads.
import { KeptLines } from "./kept_lines.js";
import { greyTable } from "./voi.js";

// Pixels are made here: a graphics card would only copy them, and one in software does that slowly.
const ON_CPU = { alpha: false, willReadFrequently: true };

export class CanvasScreen {
  name = "canvas";
  canMeasure = false;
  #canvas = document.createElement("canvas");
  #picture = document.createElement("canvas");
  #drawn = {};
  #image = null; // of the last slice's size

  constructor(port) {
    this.port = port;
    this.#canvas.className = "ctv-canvas";
    port.prepend(this.#canvas);
  }

  set hidden(hidden) {
    this.#canvas.hidden = hidden;
  }

  /** Shows int16 HU of `instance` as `view` asks (with voiFunction and table), placed by `place`. */
  draw(instance, hu, view, place) {
    this.#window(instance, hu, view);
    const dpr = window.devicePixelRatio || 1;
    const width = Math.round(place.width * dpr);
    const height = Math.round(place.height * dpr);
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    const context = this.#canvas.getContext("2d", ON_CPU);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    const { column, row, origin } = place;
    context.setTransform(
      column[0] * dpr, column[1] * dpr, row[0] * dpr, row[1] * dpr, origin[0] * dpr, origin[1] * dpr,
    );
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#picture, -0.5, -0.5);
    this.#lines?.draw(instance, hu, place);
  }

  #lines = null;

  /** Shows what was kept on the server; nobody measures here. */
  addMeasurement(measurement, instance) {
    this.#lines ??= new KeptLines(this.port);
    this.#lines.add(measurement, instance);
  }

  #window(instance, hu, view) {
    const { center, width: wide, invert, voiFunction, table } = view;
    const wanted = { hu, center, wide, invert, voiFunction, table };
    if (Object.keys(wanted).every((key) => wanted[key] === this.#drawn[key])) return;
    this.#drawn = wanted;
    const { columns: width, rows: height } = instance;
    if (this.#image?.width !== width || this.#image.height !== height) {
      Object.assign(this.#picture, { width, height });
      this.#image = new ImageData(width, height);
    }
    const context = this.#picture.getContext("2d", ON_CPU);
    const greys = this.#greys(view);
    const pixels = new Uint32Array(this.#image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = greys[hu[i] & 0xffff];
    context.putImageData(this.#image, 0, 0);
  }

  #greysOf = {};

  /** The same for all slices that are looked at in the same way: made once. */
  #greys({ center, width, invert, voiFunction, table }) {
    const look = { center, width, invert, voiFunction, table };
    if (Object.keys(look).some((key) => look[key] !== this.#greysOf[key])) this.#greysOf = { ...look, greys: opaque(look) };
    return this.#greysOf.greys;
  }

  remove() {
    this.#canvas.remove();
    this.#lines?.remove();
  }
}

/** Opaque grey for every int16 value, by its bits. */
function opaque(look) {
  const shown = new Uint32Array(65536);
  greyTable(look).forEach((grey, bits) => {
    const turned = look.invert ? 255 - grey : grey;
    shown[bits] = (0xff000000 | (turned << 16) | (turned << 8) | turned) >>> 0;
  });
  return shown;
}
