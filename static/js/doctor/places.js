// "And this?": a click on any place asks the AI about it; the answer comes with its heatmap.
import { button, make, suspicion } from "./elements.js";
import { ask } from "./server.js";

const POLL = 120;
const PATIENCE = 20000;
const MOST_KEPT = 6;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Places {
  #asked = [];

  constructor({ url, redraw, go, mark }) {
    Object.assign(this, { url, redraw, go, mark, box: document.getElementById("place-answers") });
  }

  /** Drawn on the images like findings of the AI, with a letter in place of a number. */
  get marks() {
    return this.#asked.filter((one) => one.answer).map((one) => one.answer);
  }

  async ask(place, where) {
    const one = { place, where, letter: String.fromCharCode(65 + (this.#asked.at(-1)?.count ?? -1) + 1), count: (this.#asked.at(-1)?.count ?? -1) + 1, words: "The AI looks…" };
    this.#asked = [...this.#asked, one].slice(-MOST_KEPT);
    this.#draw();
    const began = performance.now();
    try {
      let told = await ask(this.url, { instance: place.instance_id, row: place.row, column: place.column });
      while (["queued", "running"].includes(told.status) && performance.now() - began < PATIENCE) {
        await pause(POLL);
        told = await ask(told.url);
      }
      this.#take(one, told, performance.now() - began);
    } catch (trouble) {
      one.words = trouble.message;
    }
    this.#draw();
    this.redraw();
  }

  #take(one, told, milliseconds) {
    if (told.status !== "done") {
      one.words = told.reason || "The AI has not answered yet. Click again, or read without it.";
      return;
    }
    one.words = "";
    one.seconds = milliseconds / 1000;
    one.answer = { ...one.place, ...told, id: told.id, source: "model", number: one.letter };
    const heat = document.querySelector("ct-viewer:not([data-prior]) [data-action=heatmap]");
    if (heat?.getAttribute("aria-pressed") === "false") heat.click();
  }

  #draw() {
    this.box.replaceChildren(...[...this.#asked].reverse().map((one) => this.#card(one)));
  }

  #card(one) {
    const { answer } = one;
    const drop = button("Dismiss", "btn-quiet btn-sm", () => {
      this.#asked = this.#asked.filter((other) => other !== one);
      this.#draw();
      this.redraw();
    });
    drop.setAttribute("aria-label", `Dismiss place ${one.letter}`);
    const jump = make("button", { type: "button", class: "finding-jump" }, make("span", { class: "finding-number" }, one.letter), one.where);
    jump.addEventListener("click", () => this.go(answer || one.place));
    if (!answer) return make("section", { class: "panel-section place" }, make("div", { class: "finding-head" }, jump), make("div", { class: "note", role: "status" }, one.words), make("div", { class: "actions-row" }, drop));
    const facts = `nodule ${answer.nodule_probability.toFixed(2)} · ${Math.round(answer.diameter_mm)} mm if it is one · ${answer.versions} · ${one.seconds.toFixed(1)} s`;
    return make("section", { class: "panel-section place" },
      make("div", { class: "finding-head" }, jump, suspicion(answer.malignancy_probability, answer.step)),
      make("div", { class: "note", role: "status" }, facts),
      make("div", { class: "actions-row" }, button("Mark as a nodule", "btn-secondary btn-sm", () => this.mark(one.place, Math.round(answer.diameter_mm * 10) / 10)), drop));
  }
}
