// What the viewer says about itself: fetching, failed, saved.
import { element, icon } from "./dom.js";
import { ViewerError } from "./manifest.js";

const UNEXPECTED = "The images cannot be shown. Reload the page; if it happens again, tell your admin.";

export class Notices {
  #busy = element("div", { class: "ctv-busy", role: "status" }, "Fetching the images…");
  #error = element("div", { class: "ctv-error", "data-overlay": "error", role: "alert", hidden: true });
  #saved = element("div", { class: "ctv-saved", "data-overlay": "saved", role: "status" });
  #timer;

  constructor(port) {
    port.append(this.#busy, this.#error, this.#saved);
  }

  fetched() {
    this.#busy.hidden = true;
    this.#error.hidden = true;
  }

  /** Says what went wrong and gives back the words. */
  failed(problem) {
    const expected = problem instanceof ViewerError;
    if (!expected) console.error(problem);
    const text = expected ? problem.message : UNEXPECTED;
    this.#busy.hidden = true;
    this.#error.replaceChildren(icon("exclamation-triangle-fill"), element("span", {}, text));
    this.#error.hidden = false;
    return text;
  }

  /** A short note that leaves by itself. */
  note(text, kind) {
    const warning = kind === "warn";
    this.#saved.textContent = text;
    this.#saved.className = `ctv-saved ctv-show${warning ? " ctv-warn" : ""}`;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#saved.classList.remove("ctv-show"), warning ? 8000 : 2000);
  }
}
