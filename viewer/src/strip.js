// The suspicion profile along z: one value per slice, a mark per finding, a line at the slice on screen.
import { element, svg } from "./dom.js";
import { letters, normal } from "./geometry.js";
import { shapeOf, suspicion } from "./suspicion.js";

const HIGH = 52;

export class Strip {
  #plot = svg("svg", { class: "ctv-plot", "data-strip": true, height: HIGH, "aria-hidden": "true" });
  #line = svg("line", { class: "ctv-now", y1: 0, y2: HIGH });
  #ends = element("span", { class: "ctv-ends" });
  #note = element("span", {});
  #width = 0;
  #count = 1;
  #data = { profile: null, findings: [], byId: new Map() };

  constructor(onSlice) {
    this.root = element("div", { class: "ctv-strip", hidden: true },
      element("div", { class: "ctv-strip-head" }, this.#note, this.#ends), this.#plot);
    const go = (event) => {
      const box = this.#plot.getBoundingClientRect();
      const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      onSlice(Math.min(Math.floor(part * this.#count), this.#count - 1));
    };
    this.#plot.addEventListener("pointerdown", (event) => {
      this.#plot.setPointerCapture(event.pointerId);
      go(event);
    });
    this.#plot.addEventListener("pointermove", (event) => event.buttons & 1 && go(event));
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
  }

  show(instances, byId, profile, findings, hidden) {
    this.#count = instances.length;
    this.#data = { profile: hidden ? null : profile, findings, byId };
    this.#note.textContent = hidden ? "Suspicion along the chest: hidden (A shows it)" : "Suspicion along the chest";
    const first = instances[0];
    const [start, end] = first.placed ? [letters(normal(first).map((v) => -v)), letters(normal(first))] : ["", ""];
    const names = { F: "feet", H: "head", L: "left", R: "right", A: "front", P: "back" };
    this.#ends.textContent = start ? `${names[start[0]]} → ${names[end[0]]}` : "";
    this.#draw();
  }

  #x(index) {
    return ((index + 0.5) / this.#count) * this.#width;
  }

  #y(value) {
    return HIGH - 3 - Math.min(Math.max(value, 0), 1) * (HIGH - 12);
  }

  #draw() {
    this.#width = this.#plot.clientWidth;
    const { profile, findings, byId } = this.#data;
    const parts = [svg("line", { class: "ctv-base", x1: 0, x2: this.#width, y1: HIGH - 3, y2: HIGH - 3 })];
    if (profile?.length) {
      const points = profile.map((value, index) => `${this.#x(index).toFixed(1)} ${this.#y(value).toFixed(1)}`);
      const ground = HIGH - 3;
      parts.push(
        svg("path", { class: "ctv-area", d: `M${this.#x(0)} ${ground}L${points.join("L")}L${this.#x(profile.length - 1)} ${ground}z` }),
        svg("path", { class: "ctv-curve", d: `M${points.join("L")}` }));
    }
    // The most suspicious lie on top.
    const rising = [...findings].sort((a, b) => (a.malignancy_probability ?? -1) - (b.malignancy_probability ?? -1));
    for (const finding of rising) {
      const home = byId.get(finding.instance_id);
      if (!home) continue;
      const step = suspicion(finding).step;
      parts.push(svg("path", {
        class: `ctv-shape ctv-${step}`, d: shapeOf(step), transform: `translate(${this.#x(home.index)} 8) scale(.85)`,
      }));
    }
    this.#plot.replaceChildren(...parts, this.#line);
    this.at(this.#now);
  }

  #now = 0;

  at(index) {
    this.#now = index;
    const x = this.#x(index);
    this.#line.setAttribute("x1", x);
    this.#line.setAttribute("x2", x);
  }
}
