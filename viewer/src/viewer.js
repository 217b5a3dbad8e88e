// <ct-viewer manifest-url="…">: one series of CT slices, the same in every portal.
import { CanvasScreen } from "./canvas_screen.js";
import { Cine } from "./cine.js";
import { element } from "./dom.js";
import { along, dot, normal, placement, positionOf, toPixel, toScreen } from "./geometry.js";
import { Heatmaps } from "./heatmap.js";
import { Keeping } from "./keeping.js";
import { Gestures } from "./gestures.js";
import { listenForKeys } from "./keys.js";
import { fetchManifest } from "./manifest.js";
import { Marks } from "./marks.js";
import { Mpr } from "./mpr.js";
import { Notices } from "./notices.js";
import { Overlay } from "./overlay.js";
import { Saving } from "./saving.js";
import { Slices } from "./slices.js";
import { Strip } from "./strip.js";
import { buildControls, buildHelp, buildToolbar, isShown, PRESETS, showState, TOOLS } from "./toolbar.js";
import { clamp, flipped, FRESH, moved, presentationOf, rotated, viewOf, windowDragged, windowed, zoomed } from "./view.js";
import { Tables } from "./voi.js";

const MEASURING = new Set(TOOLS.filter((tool) => tool.measures).map((tool) => tool.name));
// The cosine of the angle, 14 degrees, within which slices look the same way.
const SAME_WAY = 0.97;

class CtViewer extends HTMLElement {
  #findings = [];
  #profile = null;
  #view = { ...FRESH, index: 0, center: 40, width: 400, lut: null };
  #tool = "window";
  #toolChosen = false;
  #frame = 0;
  #cine = new Cine(this);
  #place = null;
  #begun = performance.now();
  #goal = null;
  #pick = false;

  // ---------- What pages use ----------
  get findings() {
    return this.#findings;
  }

  /** [{id, number, instance_id, row, column, diameter_mm, malignancy_probability, source, label}] */
  set findings(findings) {
    this.#findings = findings || [];
    this.#showFindings();
  }

  get profile() {
    return this.#profile;
  }

  /** One suspicion (0 to 1) per slice, in the order of the manifest. */
  set profile(profile) {
    this.#profile = profile;
    this.#showFindings();
  }

  get aiHidden() {
    return this.marks?.aiHidden ?? this.hasAttribute("ai-hidden");
  }

  set aiHidden(hidden) {
    this.toggleAttribute("ai-hidden", hidden);
    this.#press("hide-ai", hidden);
    this.#showFindings();
  }

  get pickMode() {
    return this.#pick;
  }

  /** While true the next clicks choose places: each sends ct-pick. */
  set pickMode(on) {
    this.#pick = Boolean(on);
    this.toggleAttribute("picking", this.#pick);
  }

  get instanceId() {
    return this.manifest?.instances[this.#view.index].id;
  }

  get index() {
    return this.#view.index;
  }

  get view() {
    return { ...this.#view };
  }

  /** Shows an image by its id, and brings a pixel of it into sight if it was moved out. */
  goTo(instanceId, row, column) {
    this.#goal = { instanceId, row, column };
    if (!this.manifest) return;
    const found = this.#byId.get(instanceId);
    if (!found) return;
    this.show(found.index);
    if (this.mpr && row !== undefined) this.mpr.goTo(row, column);
    if (row !== undefined && this.#place) {
      const [x, y] = toScreen(placement(found, this.#view, this.#place.width, this.#place.height), row, column);
      const { width, height } = this.#place;
      if (x < 0 || y < 0 || x > width || y > height) this.#change({ panX: this.#view.panX + width / 2 - x, panY: this.#view.panY + height / 2 - y });
    }
    this.#goal = null;
  }

  /** How far along the normal the slice on screen lies, in patient mm; null where the file does not say. */
  get position() {
    return this.manifest?.instances[this.#view.index].placed ? along(this.manifest.instances[this.#view.index]) : null;
  }

  /** The first and the last position of the series, or null. */
  get range() {
    const instances = this.manifest?.instances ?? [];
    return instances.length && instances.every((one) => one.placed) ? [along(instances[0]), along(instances.at(-1))] : null;
  }

  /** The unit vector along which positions count; null where slices do not say it or look several ways. */
  get normal() {
    const instances = this.manifest?.instances ?? [];
    if (!instances.length || !instances.every((one) => one.placed)) return null;
    const first = normal(instances[0]);
    return instances.every((one) => dot(normal(one), first) > SAME_WAY) ? first : null;
  }

  /** Shows the slice that lies nearest to a position along the normal. */
  goToPosition(millimetres) {
    if (!this.range) return;
    const away = this.manifest.instances.map((one) => Math.abs(along(one) - millimetres));
    this.show(away.indexOf(Math.min(...away)));
  }

  /** The stored Hounsfield units of one pixel. */
  async huAt(instanceId, row, column) {
    const instance = this.#byId.get(instanceId);
    if (!instance || !(row >= 0 && row < instance.rows && column >= 0 && column < instance.columns)) return undefined;
    return (await this.slices.load(instance.index))[Math.round(row) * instance.columns + Math.round(column)];
  }

  setWindow(center, width) {
    if (!Number.isFinite(center) || !Number.isFinite(width)) return;
    this.#change(windowed(center, width), true);
    this.#send("ct-window", { center: this.#view.center, width: this.#view.width });
  }

  /** Shows a window without keeping it as the chosen view. */
  showWindow(center, width) {
    this.#change(windowed(center, width));
  }

  /** Shows the image at a place in the series. */
  show(index) {
    const next = clamp(index, 0, this.manifest.instances.length - 1);
    if (next === this.#view.index && this.hasAttribute("data-ready")) return;
    this.#view.index = next;
    this.slices.look(next);
    this.#paint();
    this.#send("ct-slice", { instance_id: this.instanceId, index: next });
  }

  step(count) {
    this.show(this.#view.index + count);
  }

  // ---------- Life ----------
  connectedCallback() {
    if (this.port) return;
    this.#build();
    this.#start();
  }

  disconnectedCallback() {
    // Moving the element in the page disconnects it for a moment only.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#cine.stop();
      this.slices?.close();
      this.screen?.remove();
    });
  }

  #build() {
    this.port = element("div", { class: "ctv-port", tabindex: "0", role: "group", "aria-label": "CT image" });
    this.help = buildHelp();
    this.screen = new CanvasScreen(this.port);
    this.marks = new Marks(this.port);
    this.heatmaps = new Heatmaps(this.port, () => this.#paint());
    this.overlay = new Overlay(this.port);
    this.strip = new Strip((index) => this.show(index));
    this.notices = new Notices(this.port);
    this.toolbar = buildToolbar();
    this.append(this.toolbar, this.port, this.strip.root, this.help);
    this.setAttribute("renderer", "canvas");
    listenForKeys(this);
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("input", (event) => this.#typed(event));
    this.chooseTool("window", false);
  }

  async #start() {
    try {
      this.manifest = await fetchManifest(this.getAttribute("manifest-url"));
    } catch (problem) {
      this.#fail(problem);
      return;
    }
    const { instances, presentation } = this.manifest;
    this.#keeping = new Keeping(this.manifest, (text, kind) => this.notices.note(text, kind), (id) => this.screen.removeMeasurement?.(id));
    this.#byId = new Map(instances.map((one) => [one.id, one]));
    this.slices = new Slices(instances);
    this.tables = new Tables(() => this.#paint());
    this.overlay.describe(this.manifest);
    this.port.after(buildControls(instances.length));
    this.#saving = new Saving(this.manifest.presentation_url, (text, kind) => this.notices.note(text, kind), (body) => this.#send("ct-presentation-saved", body));
    if (presentation) Object.assign(this.#view, viewOf(presentation));
    this.#view.index = (this.#goal && this.#byId.get(this.#goal.instanceId)?.index) ?? Math.floor(instances.length / 2);
    this.slices.look(this.#view.index);
    this.#listen();
    this.#showFindings();
    await this.#firstImage();
    this.slices.startPrefetch();
    await this.#useWebGl();
    await this.#showMeasurements();
    this.#paint();
  }

  #byId = new Map();
  #saving = null;

  async #firstImage() {
    while (this.isConnected) {
      try {
        await this.slices.load(this.#view.index);
        break;
      } catch (problem) {
        this.#fail(problem);
        await new Promise((resolve) => setTimeout(resolve, 3000));
      }
    }
    this.#paintNow();
    performance.mark("ct-first-image");
    this.toggleAttribute("data-ready", true);
    this.#send("ct-ready", { milliseconds: performance.now() - this.#begun });
  }

  async #useWebGl() {
    if (this.getAttribute("renderer-choice") === "canvas") return;
    // The first image comes to the screen before the large script is read.
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    try {
      const { WebGlScreen, webGlWorks } = await import("./webgl_screen.js");
      if (!webGlWorks() || !this.isConnected) return;
      const screen = new WebGlScreen(this.port, this.slices, (one) => this.#keeping.changed(one));
      await screen.open(this.#view.index);
      this.screen.remove();
      this.screen = screen;
    } catch (problem) {
      // The canvas goes on showing the images; only measuring is missing, and its buttons stay off.
      console.error("The WebGL part could not start", problem);
      return;
    }
    this.setAttribute("renderer", this.screen.name);
    this.toolbar.querySelectorAll("[data-tool]").forEach((button) => (button.disabled = false));
    this.chooseTool(this.#tool, this.#toolChosen);
    this.#paint();
  }

  #keeping = null;

  async #showMeasurements() {
    try {
      for (const one of await this.#keeping.all()) {
        const instance = this.#byId.get(one.instance);
        if (instance) this.screen.addMeasurement(one, instance);
      }
      this.toggleAttribute("data-measurements", true);
    } catch (problem) {
      this.notices.note("The saved measurements could not be fetched. Reload to see them.", "warn");
    }
  }

  #removeMeasurements(onlySelected) {
    // The three planes show no measurements, and what is not seen is not deleted.
    if (this.mpr) return this.notices.note("Close the other planes first: measurements are shown on the single image.", "");
    const gone = this.screen.removeMeasurements?.(onlySelected) ?? [];
    gone.forEach((id) => this.#keeping.removed(id));
    if (gone.length) return undefined;
    return this.notices.note(onlySelected ? "Choose a measurement of yours on this image first; others' are theirs to delete." : "There is no measurement of yours on this image.", "");
  }

  // ---------- Other planes ----------
  #toggleMpr() {
    if (this.mpr) {
      this.mpr.close();
      this.mpr = null;
    } else if (!this.manifest.regular) {
      this.notices.note(`No other planes: ${this.manifest.why_not_regular}`, "warn");
    } else {
      this.mpr = new Mpr(this, this.manifest.instances, this.slices);
      this.port.after(this.mpr.root);
      const chosen = this.#findings.find((one) => one.id === this.marks.selected && one.instance_id === this.instanceId);
      if (chosen) this.mpr.at = { row: Math.round(chosen.row), column: Math.round(chosen.column) };
    }
    this.port.hidden = Boolean(this.mpr);
    this.#press("mpr", Boolean(this.mpr));
    this.#paint();
  }

  repaint() {
    this.#paint();
  }

  #listen() {
    new ResizeObserver(() => this.#paint()).observe(this.port);
    this.slices.addEventListener("slice", (event) => {
      if (this.mpr || event.detail.index === this.#view.index) this.#paint();
    });
    this.gestures = new Gestures(this.port, {
      toolFor: (pointer) => this.#toolFor(pointer),
      drag: (kind, dx, dy, at) => this.#drag(kind, dx, dy, at),
      wheel: (steps) => this.step(steps),
      zoom: (factor, at) => this.#zoom(factor, at),
      click: (at) => this.#tap(at),
      hover: (at) => this.#hover(at),
    });
  }

  // ---------- Painting ----------
  #paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paintNow());
  }

  #paintNow() {
    const { clientWidth: width, clientHeight: height } = this.port;
    if (!this.manifest) return;
    const instance = this.manifest.instances[this.#view.index];
    if (this.mpr) return this.#paintPlanes(instance);
    if (!width || !height) return;
    this.#place = placement(instance, this.#view, width, height);
    const hu = this.slices.get(instance.index);
    this.toggleAttribute("waiting", !hu);
    if (hu) {
      this.notices.fetched();
      this.screen.draw(instance, hu, this.#look(instance), this.#place);
      this.marks.draw(instance, this.#byId, this.#place);
      const heat = this.heatmaps.draw(instance, this.marks.shown, this.#place);
      this.overlay.update(instance, this.manifest.instances.length, this.#view, this.#place, heat);
    } else {
      this.slices.load(instance.index).catch((problem) => this.#fail(problem));
    }
    this.#tellState(instance);
  }

  /** The view with what the file says of it: function or table, and MONOCHROME1. */
  #look(instance) {
    const view = this.#view;
    const table = this.tables.of(instance.offers.find((one) => one.lut !== undefined && one.lut === view.lut));
    return { ...view, table, voiFunction: instance.voiFunction, invert: view.invert !== instance.inverted };
  }

  #paintPlanes(instance) {
    this.slices.load(instance.index).catch((problem) => this.#fail(problem));
    this.mpr.draw(instance.index, this.#look(instance), { marks: this.marks, byId: this.#byId });
    this.#tellState(instance);
  }

  #tellState(instance) {
    this.strip.at(instance.index);
    showState(this, this.#view, instance.offers);
    this.#press("invert", this.#view.invert);
  }

  #showFindings() {
    if (!this.marks) return;
    this.marks.aiHidden = this.hasAttribute("ai-hidden");
    this.marks.findings = this.#findings;
    this.strip.root.hidden = !this.#profile && !this.hasAttribute("strip");
    if (this.manifest) this.strip.show(this.manifest.instances, this.#byId, this.#profile, this.marks.shown, this.marks.aiHidden);
    this.#paint();
  }

  /** Marks one finding as the chosen one. */
  select(findingId) {
    this.marks.selected = findingId;
    this.#paint();
  }

  #press(action, on) {
    this.querySelector(`[data-action="${action}"]`)?.setAttribute("aria-pressed", String(on));
  }

  #fail(problem) {
    if (problem.name !== "AbortError") this.#send("ct-error", { message: this.notices.failed(problem) });
  }

  #send(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }

  // ---------- Changing the view ----------
  #change(changes, save = false) {
    Object.assign(this.#view, changes);
    this.#paint();
    if (save && this.manifest) this.#saving.change(presentationOf(this.#view));
  }

  get #offers() {
    return this.manifest.instances[this.#view.index].offers;
  }

  /** One of the named windows; "file" is the file's own, and at the next call its next one. */
  usePreset(name) {
    const offers = name === "file" ? this.#offers : [PRESETS[name]];
    const shown = offers.findIndex((one) => isShown(one, this.#view));
    this.#useOffer(offers[(shown + 1) % offers.length]);
  }

  #useOffer(offer) {
    if (!offer) return;
    if (offer.lut === undefined) this.setWindow(offer.center, offer.width);
    else this.#change({ lut: offer.lut }, true);
  }

  chooseTool(name, byPerson = true) {
    if (MEASURING.has(name) && !this.screen.canMeasure) return;
    this.#tool = name;
    this.#toolChosen = byPerson;
    this.toolbar.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.tool === name)));
    this.port.dataset.using = name;
    this.screen.use?.(MEASURING.has(name) ? name : "");
  }

  act(name) {
    const view = this.#view;
    const acts = {
      rotate: () => this.#change(rotated(view), true),
      "flip-h": () => this.#change(flipped(view, "horizontal"), true),
      "flip-v": () => this.#change(flipped(view, "vertical"), true),
      invert: () => this.#change({ invert: !view.invert }),
      reset: () => this.#reset(),
      "clear-marks": () => this.#removeMeasurements(false),
      "delete-mark": () => this.#removeMeasurements(true),
      heatmap: () => this.#toggleHeatmap(),
      mpr: () => this.#toggleMpr(),
      "hide-ai": () => (this.aiHidden = !this.aiHidden),
      cine: () => this.#cine.toggle(),
      help: () => this.#toggleHelp(),
    };
    acts[name]?.();
  }

  #toggleHeatmap() {
    this.heatmaps.on = !this.heatmaps.on;
    this.#press("heatmap", this.heatmaps.on);
    this.querySelector(".ctv-opacity").hidden = !this.heatmaps.on;
    this.#paint();
  }

  #reset() {
    this.#change({ ...FRESH, center: 40, width: 400, lut: null, ...this.#own() }, true);
  }

  /** The file's first window, or its first table where it names no window. */
  #own() {
    const [{ center, width, lut } = {}] = this.#offers;
    if (lut !== undefined) return { lut };
    return center === undefined ? {} : { center, width };
  }

  #toggleHelp() {
    this.help.hidden = !this.help.hidden;
    (this.help.hidden ? this.port : this.help).focus({ preventScroll: true });
  }

  closeHelp() {
    if (!this.help.hidden) this.#toggleHelp();
  }

  // ---------- Hands ----------
  #toolFor(pointer) {
    if (this.#pick) return "pan";
    if (pointer === "touch" && !this.#toolChosen) return "scroll";
    return MEASURING.has(this.#tool) ? "" : this.#tool;
  }

  #drag(kind, dx, dy, at) {
    const view = this.#view;
    if (kind === "window") {
      const { center, width } = windowDragged(view, dx, dy);
      this.setWindow(center, width);
    }
    else if (kind === "pan") this.#change(moved(view, dx, dy));
    else if (kind === "zoom") this.#zoom(Math.exp(-dy / 200), at);
    else if (kind === "scroll") this.#dragScroll(dy);
  }

  #dragged = 0;

  #dragScroll(dy) {
    const perSlice = clamp(this.port.clientHeight / this.manifest.instances.length, 2, 16);
    this.#dragged += dy;
    const steps = Math.trunc(this.#dragged / perSlice);
    this.#dragged -= steps * perSlice;
    if (steps) this.step(steps);
  }

  #zoom(factor, at) {
    this.#change(zoomed(this.#view, factor, at, this.#place));
  }

  #pixelAt({ x, y }) {
    const instance = this.manifest.instances[this.#view.index];
    const { row, column } = toPixel(this.#place, x, y);
    const inside = row >= -0.5 && column >= -0.5 && row < instance.rows - 0.5 && column < instance.columns - 0.5;
    return inside && { instance, row: Math.round(row), column: Math.round(column) };
  }

  #tap(at) {
    this.port.focus({ preventScroll: true });
    if (this.#pick) {
      const pixel = this.#pixelAt(at);
      if (!pixel) return;
      const { instance, row, column } = pixel;
      const hu = this.slices.get(instance.index)?.[row * instance.columns + column];
      this.#send("ct-pick", {
        instance_id: instance.id, row, column, hu, position_mm: instance.placed ? positionOf(instance, row, column) : null,
      });
      return;
    }
    const finding = !MEASURING.has(this.#tool) && this.marks.at(at.x, at.y);
    if (!finding) return;
    this.select(finding.id);
    this.#send("ct-finding", { id: finding.id });
  }

  #hover(at) {
    const pixel = at && this.#place && this.#pixelAt(at);
    if (!pixel) return this.overlay.probe("");
    const { instance, row, column } = pixel;
    const hu = this.slices.get(instance.index)?.[row * instance.columns + column];
    return this.overlay.probe(hu === undefined ? "" : `${hu} HU  (${row}, ${column})`);
  }

  #clicked(event) {
    const button = event.target.closest("[data-tool], [data-preset], [data-action]");
    if (!button || button.disabled || !this.contains(button)) return;
    const { tool, preset, action } = button.dataset;
    if (tool) this.chooseTool(tool);
    if (preset) this.usePreset(preset);
    if (action) this.act(action);
  }

  #typed(event) {
    const { input } = event.target.dataset;
    if (input === "offer") {
      this.#useOffer(this.#offers[event.target.value]);
      this.port.focus({ preventScroll: true });
    }
    const value = event.target.valueAsNumber;
    if (input === "slice") this.show(value - 1);
    if (!Number.isFinite(value)) return;
    if (input === "opacity") {
      this.heatmaps.opacity = value / 100;
      this.#paint();
    }
    if (input === "center") this.setWindow(value, this.#view.width);
    if (input === "width" && value >= 1) this.setWindow(this.#view.center, value);
  }
}

// Properties that a page set before this script ran are handed to the setters.
for (const viewer of document.querySelectorAll("ct-viewer")) {
  for (const name of ["findings", "profile", "aiHidden", "pickMode"]) {
    if (!Object.hasOwn(viewer, name)) continue;
    const value = viewer[name];
    delete viewer[name];
    customElements.whenDefined("ct-viewer").then(() => (viewer[name] = value));
  }
}
customElements.define("ct-viewer", CtViewer);
