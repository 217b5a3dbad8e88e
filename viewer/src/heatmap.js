// Where the suspicion of a finding comes from, laid over its slice.
import { fetchOrExplain } from "./manifest.js";

/** Dark violet over red to yellow, readable without red and green. */
function colour(value) {
  const stops = [[60, 15, 110], [190, 55, 85], [250, 140, 20], [252, 250, 160]];
  const at = Math.min(value, 0.999) * (stops.length - 1);
  const [low, high] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
  return low.map((part, i) => Math.round(part + (high[i] - part) * (at % 1)));
}

const FETCHING = "fetching the heatmap";
const FAILED = "the heatmap could not be fetched";

function picture({ values, side_pixels: side }) {
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const image = new ImageData(side, side);
  bytes.forEach((byte, i) => image.data.set([...colour(byte / 255), byte], i * 4));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

export class Heatmaps {
  on = false;
  opacity = 0.5;
  #canvas = document.createElement("canvas");
  #known = new Map(); // finding id -> { ...answer, canvas }, or { why } there is none yet

  constructor(port, repaint) {
    this.repaint = repaint;
    this.#canvas.className = "ctv-heat";
    this.#canvas.hidden = true;
    port.append(this.#canvas);
  }

  /** Draws those of the slice and gives the name of the method, or why there is nothing. */
  draw(instance, findings, place) {
    this.#canvas.hidden = !this.on;
    if (!this.on) return "";
    const here = findings.filter((one) => one.instance_id === instance.id && one.source === "model");
    const known = here.map((one) => this.#of(one)).filter(Boolean);
    const ready = known.filter((one) => one.canvas);
    this.#paint(ready, place);
    if (ready.length) return `heatmap: ${ready[0].method}`;
    if (known.length) return known[0].why;
    return here.length ? "no heatmap of this finding" : "heatmap: no finding on this image";
  }

  #of(finding) {
    if (!finding.heatmap_url) return null;
    if (!this.#known.has(finding.id)) {
      this.#known.set(finding.id, { why: FETCHING });
      this.#fetch(finding);
    }
    return this.#known.get(finding.id);
  }

  async #fetch(finding) {
    try {
      const answer = await (await fetchOrExplain(finding.heatmap_url)).json();
      this.#known.set(finding.id, { ...answer, canvas: picture(answer) });
    } catch {
      this.#known.set(finding.id, { why: FAILED });
      setTimeout(() => this.#known.delete(finding.id), 5000); // the next look tries again
    }
    this.repaint();
  }

  #paint(ready, { width, height, column, row, origin }) {
    const dpr = window.devicePixelRatio || 1;
    Object.assign(this.#canvas, { width: Math.round(width * dpr), height: Math.round(height * dpr) });
    const context = this.#canvas.getContext("2d");
    context.globalAlpha = this.opacity;
    context.setTransform(column[0] * dpr, column[1] * dpr, row[0] * dpr, row[1] * dpr, origin[0] * dpr, origin[1] * dpr);
    for (const { canvas, left, top, side } of ready) context.drawImage(canvas, left - 0.5, top - 0.5, side, side);
  }
}
