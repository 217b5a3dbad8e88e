// Hounsfield units to grey: windows and tables (PS3.3 C.11.2), as apps/imaging/voi.py has them.
import { fetchOrExplain } from "./manifest.js";

/** The HU that a linear window shows black and white; null where a table is needed. */
export function greyRange({ center, width, voiFunction, table }) {
  if (table || voiFunction === "SIGMOID") return null;
  if (voiFunction === "LINEAR_EXACT") return [center - width / 2, center + width / 2];
  const lower = center - 0.5 - (width - 1) / 2;
  return [lower, lower + Math.max(width - 1, 0.01)];
}

/** A grey value (0 to 255) for every int16 HU, by its bits; not yet inverted. */
export function greyTable(look) {
  if (look.table) return look.table;
  const { center, width } = look;
  const grey = new Uint8ClampedArray(65536);
  const range = greyRange(look);
  for (let hu = -32768; hu < 32768; hu++) {
    grey[hu & 0xffff] = 255 * (range ? (hu - range[0]) / (range[1] - range[0]) : 1 / (1 + Math.exp((-4 * (hu - center)) / width)));
  }
  return grey;
}

/** The tables of the files, each fetched once however many slices share it. */
export class Tables {
  #known = new Map(); // sha256 -> Uint8Array, or null while it comes

  constructor(repaint) {
    this.repaint = repaint;
  }

  /** The table of an offer; null while it is not here, and the window is shown. */
  of(offer) {
    if (!offer) return null;
    if (!this.#known.has(offer.sha256)) {
      this.#known.set(offer.sha256, null);
      this.#fetch(offer);
    }
    return this.#known.get(offer.sha256);
  }

  async #fetch({ sha256, url }) {
    try {
      this.#known.set(sha256, new Uint8Array(await (await fetchOrExplain(url)).arrayBuffer()));
      this.repaint();
    } catch {
      setTimeout(() => this.#known.delete(sha256), 3000);
    }
  }
}
