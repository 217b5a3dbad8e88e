// What is written over the image: patient, technique, where we are, orientation letters, scale bar.
import { element } from "./dom.js";
import { directionOnScreen, letters } from "./geometry.js";

const minus = (text) => String(text).replace(/-/g, "−");
const day = (iso) => new Date(`${iso}T12:00`).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
const lines = (...parts) => parts.filter(Boolean).join("\n");

export class Overlay {
  #places = {};
  #letters = {};
  #scaleText = element("span", {});
  #scaleLine = element("span", { class: "ctv-scale-line" });

  constructor(port) {
    const corner = (name, where) => (this.#places[name] = element("div", { "data-overlay": name, class: where }));
    const box = (where, ...children) => element("div", { class: `ctv-corner ctv-${where}` }, ...children);
    this.root = element("div", { class: "ctv-overlay" },
      box("top-left", corner("patient", "ctv-wrap"), corner("study", "ctv-second")),
      box("top-right", corner("image", ""), corner("lossy", "ctv-warn")),
      box("bottom-left", corner("heatmap", ""), corner("probe", "ctv-second"), corner("window", "")),
      box("bottom-right", corner("technique", "ctv-second"), element("div", { class: "ctv-scale", "data-overlay": "scale" }, this.#scaleLine, this.#scaleText)),
      ...["left", "right", "top", "bottom"].map((side) => (this.#letters[side] = element("div", { class: `ctv-letter ctv-letter-${side}` }))));
    port.append(this.root);
  }

  #say(name, text) {
    if (this.#places[name].textContent !== text) this.#places[name].textContent = text;
  }

  /** What stays the same for the whole series. */
  describe({ patient, study, series, lossy }) {
    const facts = [patient.patient_id, [patient.sex, study.patient_age].filter(Boolean).join(" ")].filter(Boolean).join(" · ");
    this.#say("patient", lines(patient.name, facts));
    this.#say("study", lines([study.study_date && day(study.study_date), study.study_description].filter(Boolean).join(" · "), series.series_description));
    const tube = [series.kvp && `${series.kvp} kV`, series.x_ray_tube_current && `${series.x_ray_tube_current} mA`].filter(Boolean).join(" ");
    this.#say("technique", lines(
      [tube, series.convolution_kernel].filter(Boolean).join(" · "),
      [series.manufacturer, series.manufacturer_model_name].filter(Boolean).join(" "),
    ));
    this.#thickness = series.slice_thickness;
    this.#lossy = lossy;
  }

  #thickness;
  #lossy;

  update(instance, count, view, place, heat) {
    const z = instance.placed ? `z ${instance.position[2].toFixed(1)} mm` : "position unknown";
    const thick = this.#thickness ? `${Number(this.#thickness).toFixed(2).replace(/\.?0+$/, "")} mm thick` : "";
    this.#say("image", minus(lines(`Im ${instance.index + 1} / ${count}`, z, thick)));
    this.#say("lossy", instance.lossy || this.#lossy ? "lossy compressed" : "");
    const table = instance.offers.find((one) => one.lut !== undefined && one.lut === view.lut);
    const window = table ? table.words : `L ${Math.round(view.center)}  W ${Math.round(view.width)}`;
    const turned = [instance.inverted && "inverted by the file", view.invert && "inverted"].filter(Boolean);
    this.#say("window", minus(lines(window, [`zoom ${view.zoom.toFixed(1)}`, ...turned].join(" · "))));
    this.#say("heatmap", heat);
    this.#orient(instance, place);
    this.#scale(instance, place);
  }

  probe(text) {
    this.#say("probe", minus(text));
  }

  #orient(instance, place) {
    const directions = { right: [1, 0], left: [-1, 0], top: [0, -1], bottom: [0, 1] };
    for (const [side, [x, y]] of Object.entries(directions)) {
      const text = instance.placed ? letters(directionOnScreen(instance, place, x, y)) : "";
      if (this.#letters[side].textContent !== text) this.#letters[side].textContent = text;
    }
  }

  #scale(instance, place) {
    const room = Math.min(place.width * 0.25, 180);
    const steps = [1, 2, 5, 10, 20, 50, 100, 200];
    const length = steps.filter((step) => step * place.scale <= room).pop() || steps[0];
    this.#scaleText.textContent = `${length} ${instance.calibrated ? "mm" : "px"}`;
    this.#scaleLine.style.width = `${length * place.scale}px`;
  }
}
