// Findings drawn on the slice. The AI's are thinner and dashed; the doctor's own are solid.
import { svg } from "./dom.js";
import { distance, pointAt, positionOf, toScreen } from "./geometry.js";
import { caption, shapeOf, suspicion } from "./suspicion.js";

const SMALLEST_RADIUS = 11;
const ROOM = 5;

export class Marks {
  #findings = [];
  #drawn = [];
  aiHidden = false;
  selected = null;

  constructor(port) {
    this.root = svg("svg", { class: "ctv-marks", "aria-hidden": "true" });
    port.append(this.root);
  }

  set findings(findings) {
    this.#findings = findings;
  }

  get shown() {
    return this.#findings.filter((finding) => !(this.aiHidden && finding.source === "model"));
  }

  draw(instance, byId, place) {
    this.#drawn = this.shown.flatMap((finding) => this.#onSlice(finding, instance, byId, place));
    this.root.replaceChildren(...this.#drawn.map((mark) => this.#picture(mark, place)));
  }

  /** Shows on a plane what others show on the slice. */
  follow({ shown, selected }) {
    this.#findings = shown;
    this.selected = selected;
  }

  /** The finding under a point, the smallest first. */
  at(x, y) {
    const hit = this.#drawn.filter((mark) => Math.hypot(mark.x - x, mark.y - y) <= mark.radius + 4);
    return hit.sort((a, b) => a.radius - b.radius)[0]?.finding;
  }

  /** A nodule is a ball: on a neighbouring slice its circle is smaller, and beyond its radius it is gone. */
  #onSlice(finding, plane, byId, place) {
    const home = byId.get(finding.instance_id);
    if (!home || (home !== plane && !home.placed)) return [];
    const centre = positionOf(home, finding.row, finding.column);
    const radius = (finding.diameter_mm || 0) / 2;
    const away = home === plane ? 0 : Math.abs(distance(plane, { position: centre }));
    if (away > radius) return [];
    const here = Math.sqrt(Math.max(radius * radius - away * away, 0));
    const [row, column] = home === plane ? [finding.row, finding.column] : pointAt(plane, centre);
    const [x, y] = toScreen(place, row, column);
    return [{ finding, x, y, radius: Math.max(here * place.scale + ROOM, SMALLEST_RADIUS), home: home === plane }];
  }

  #picture({ finding, x, y, radius, home }, place) {
    const step = finding.source === "doctor" && finding.malignancy_probability == null ? "own" : suspicion(finding).step;
    const kind = finding.source === "doctor" ? "doctor" : "model";
    const chosen = finding.id === this.selected ? " ctv-selected" : "";
    const toLeft = x + radius + 150 > place.width;
    const textX = toLeft ? x - radius - 8 : x + radius + 8;
    const textY = Math.min(Math.max(y - radius * 0.4, 20), place.height - 8);
    const words = caption(finding);
    const shapeX = toLeft ? textX - 6 : textX + 6;
    return svg("g", { class: `ctv-mark ctv-${step} ctv-${kind}${home ? "" : " ctv-near"}${chosen}`, "data-finding": finding.id },
      svg("circle", { class: "ctv-halo", cx: x, cy: y, r: radius }),
      svg("circle", { class: "ctv-ring", cx: x, cy: y, r: radius }),
      svg("path", { class: "ctv-shape", d: shapeOf(step === "own" ? "none" : step), transform: `translate(${shapeX} ${textY - 5})` }),
      svg("text", { x: toLeft ? textX - 18 : textX + 18, y: textY, "text-anchor": toLeft ? "end" : "start" }, words));
  }
}
