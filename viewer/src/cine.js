// Plays the series in a circle. An image that has not come yet is waited for, not left out.
import { icon } from "./dom.js";

const PER_SECOND = 15;

export class Cine {
  #timer = 0;

  constructor(viewer) {
    this.viewer = viewer;
  }

  toggle() {
    if (this.#timer) this.stop();
    else if (this.viewer.manifest.instances.length > 1) this.#timer = setInterval(() => this.#next(), 1000 / PER_SECOND);
    this.#tell();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#tell();
  }

  #next() {
    const { viewer } = this;
    const next = (viewer.index + 1) % viewer.manifest.instances.length;
    if (viewer.slices.get(next)) viewer.show(next);
    else viewer.slices.load(next).catch(() => this.stop());
  }

  #tell() {
    const button = this.viewer.querySelector('[data-action="cine"]');
    if (!button) return;
    const playing = Boolean(this.#timer);
    button.setAttribute("aria-pressed", String(playing));
    button.setAttribute("aria-label", playing ? "Stop" : "Play");
    button.replaceChildren(icon(playing ? "pause-fill" : "play-fill"));
  }
}
