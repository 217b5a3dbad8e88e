// Draws slices and measurements with cornerstone3D. Loaded after the first image is on screen.
import {
  cache, Enums, eventTarget, getRenderingCapabilities, imageLoader, init, metaData, RenderingEngine, utilities,
} from "@cornerstonejs/core";
import {
  addTool, annotation, BidirectionalTool, EllipticalROITool, Enums as ToolEnums, init as initTools, LengthTool,
  ProbeTool, ToolGroupManager,
} from "@cornerstonejs/tools";
import { CanvasScreen } from "./canvas_screen.js";
import { columnCosines, cross, directionOnScreen, normal, pointAt, positionOf, rowCosines, toPixel } from "./geometry.js";
import { linesOf, signature } from "./measuring.js";
import { greyRange, greyTable } from "./voi.js";

const SCHEME = "hounsfield";
const TOOLS = { length: LengthTool, bidirectional: BidirectionalTool, ellipse: EllipticalROITool, probe: ProbeTool };
// Slower than this, WebGL (in software, or an old graphics card) draws only when hands rest.
const SLOW_MS = 33;
const REST_MS = 120;
const screens = new Map(); // id -> WebGlScreen
let started = false;
let nextId = 1;

export function webGlWorks() {
  return Boolean(getRenderingCapabilities().webgl);
}

function start() {
  if (started) return;
  started = true;
  // One context serves all viewers of a page; the default of seven costs start-up time and memory.
  init({ rendering: { webGlContextCount: 1 } });
  initTools();
  Object.values(TOOLS).forEach(addTool);
  imageLoader.registerImageLoader(SCHEME, (imageId) => ({ promise: imageOf(imageId) }));
  metaData.addProvider((type, imageId) => describe(type, imageId), 10);
  annotation.config.style.setDefaultToolStyles({
    global: {
      ...annotation.config.style.getDefaultToolStyles().global,
      color: "rgb(122, 226, 214)", colorHighlighted: "rgb(255, 255, 255)", colorSelected: "rgb(255, 224, 130)",
      colorLocked: "rgb(122, 226, 214)", lineWidth: "1.5", lineDash: "", shadow: true,
      textBoxFontFamily: "Source Sans 3 Variable, system-ui, sans-serif", textBoxFontSize: "15px",
      textBoxColor: "rgb(122, 226, 214)", textBoxColorHighlighted: "rgb(255, 255, 255)",
      textBoxColorSelected: "rgb(255, 224, 130)", textBoxColorLocked: "rgb(122, 226, 214)",
      textBoxLinkLineWidth: "1", textBoxLinkLineDash: "2,3",
    },
  });
}

function find(imageId) {
  const [scheme, id, index] = String(imageId).split(":");
  if (scheme !== SCHEME) return undefined;
  const screen = screens.get(id);
  return screen && { screen, instance: screen.slices.instances[Number(index)] };
}

async function imageOf(imageId) {
  const { screen, instance } = find(imageId);
  const hu = await screen.slices.load(instance.index);
  let low = 32767;
  let high = -32768;
  for (const value of hu) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const voxelManager = utilities.VoxelManager.createImageVoxelManager({
    scalarData: hu, width: instance.columns, height: instance.rows, numberOfComponents: 1,
  });
  return {
    imageId, voxelManager, getPixelData: () => hu, getCanvas: undefined, dataType: "Int16Array",
    minPixelValue: low, maxPixelValue: high, slope: 1, intercept: 0, windowCenter: 40, windowWidth: 400,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR, rows: instance.rows, columns: instance.columns,
    height: instance.rows, width: instance.columns, color: false, rgba: false, numberOfComponents: 1,
    columnPixelSpacing: instance.columnSpacing, rowPixelSpacing: instance.rowSpacing, invert: false,
    photometricInterpretation: "MONOCHROME2", sizeInBytes: hu.byteLength,
  };
}

function describe(type, imageId) {
  const found = find(imageId);
  if (!found) return undefined;
  const { screen, instance } = found;
  switch (type) {
    case "imagePlaneModule":
      return {
        frameOfReferenceUID: screen.id, rows: instance.rows, columns: instance.columns,
        imageOrientationPatient: instance.orientation, imagePositionPatient: instance.position,
        rowCosines: rowCosines(instance), columnCosines: columnCosines(instance),
        pixelSpacing: [instance.rowSpacing, instance.columnSpacing],
        rowPixelSpacing: instance.rowSpacing, columnPixelSpacing: instance.columnSpacing,
        sliceLocation: instance.index, sliceThickness: 1, usingDefaultValues: !instance.calibrated,
      };
    case "imagePixelModule":
      return {
        bitsAllocated: 16, bitsStored: 16, highBit: 15, pixelRepresentation: 1, samplesPerPixel: 1,
        photometricInterpretation: "MONOCHROME2", rows: instance.rows, columns: instance.columns,
      };
    case "generalSeriesModule":
      return { modality: "CT", seriesInstanceUID: screen.id };
    case "modalityLutModule":
      return { rescaleSlope: 1, rescaleIntercept: 0, rescaleType: "HU" };
    default:
      return undefined;
  }
}

const kindOf = (one) => Object.keys(TOOLS).find((name) => TOOLS[name].toolName === one.metadata.toolName);

export class WebGlScreen {
  name = "webgl";
  canMeasure = true;
  #element = document.createElement("div");
  #engine;
  #viewport;
  #group;
  #shown = -1;
  #latest = -1; // what was last asked for, and is on screen while WebGL comes after
  #wanted = null;
  #busy = false;
  #size = "";
  #linear = null; // cornerstone's function, while one of a table stands in its place
  #made = null;
  #moving; // what is on screen while WebGL would be too slow
  #begun = 0;
  #fastest = Infinity;
  #rest = 0;
  #closed = new AbortController();
  #theirs = new Set(); // ids of what others measured
  #done = new Set(); // ids of the measurements that are drawn to their end

  constructor(port, slices, onMeasured) {
    start();
    this.id = String(nextId++);
    this.slices = slices;
    screens.set(this.id, this);
    this.#element.className = "ctv-webgl";
    this.#moving = new CanvasScreen(port);
    this.#moving.hidden = true;
    port.prepend(this.#element); // below what covers it for moments
    this.#engine = new RenderingEngine(`engine-${this.id}`);
    this.#engine.enableElement({
      viewportId: this.#viewportId, type: Enums.ViewportType.STACK, element: this.#element,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.#viewport = this.#engine.getViewport(this.#viewportId);
    this.#group = this.#measuringTools();
    for (const name of [ToolEnums.Events.ANNOTATION_COMPLETED, ToolEnums.Events.ANNOTATION_MODIFIED]) {
      eventTarget.addEventListener(name, this.#measured, { signal: this.#closed.signal });
    }
    this.#element.addEventListener(Enums.Events.IMAGE_RENDERED, () => this.#rendered());
    this.onMeasured = onMeasured;
    slices.addEventListener("evicted", (event) => this.#forget(event.detail.index));
  }

  get #viewportId() {
    return `viewport-${this.id}`;
  }

  #imageId(index) {
    return `${SCHEME}:${this.id}:${index}`;
  }

  async open(index) {
    await this.#viewport.setStack(this.slices.instances.map((one) => this.#imageId(one.index)), index);
    this.#viewport.setProperties({ interpolationType: Enums.InterpolationType.LINEAR });
    this.#shown = this.#latest = index;
  }

  #measuringTools() {
    const group = ToolGroupManager.createToolGroup(`tools-${this.id}`);
    for (const [name, tool] of Object.entries(TOOLS)) {
      group.addTool(tool.toolName, { getTextLines: (data, targetId) => this.#lines(name, data, targetId), shadow: true, preventHandleOutsideImage: true });
      group.setToolEnabled(tool.toolName);
    }
    group.addViewport(this.#viewportId, this.#engine.id);
    return group;
  }

  #lines(name, data, targetId) {
    const instance = this.slices.instances[Number(String(targetId).split(":").pop())];
    const hu = instance && this.slices.get(instance.index);
    if (!hu) return undefined;
    const points = data.handles.points.map((point) => pointAt(instance, point));
    const { author } = data;
    return [...linesOf(name, points, instance, hu), ...(author ? [author] : [])];
  }

  #mine() {
    return annotation.state.getAllAnnotations().filter((one) => one.metadata.FrameOfReferenceUID === this.id && kindOf(one));
  }

  #measured = ({ type, detail }) => {
    const one = detail.annotation;
    if (one.metadata.FrameOfReferenceUID !== this.id || this.#theirs.has(one.annotationUID)) return;
    // While it is drawn it changes with every move of the hand.
    if (type === ToolEnums.Events.ANNOTATION_COMPLETED) this.#done.add(one.annotationUID);
    if (this.#done.has(one.annotationUID)) this.onMeasured(this.#plain(one));
  };

  #plain(one) {
    const instance = find(one.metadata.referencedImageId).instance;
    return {
      public_id: one.annotationUID, instance: instance.id, kind: kindOf(one),
      points: one.data.handles.points.map((point) => pointAt(instance, point).map((value) => Number(value.toFixed(3)))),
    };
  }

  /** Shows what was kept on the server; what is not one's own can be looked at, not moved. */
  addMeasurement({ public_id: id, kind, points, mine, author, created_at: at }, instance) {
    annotation.state.addAnnotation({
      annotationUID: id, highlighted: false, isLocked: false, isVisible: true, invalidated: true,
      metadata: {
        toolName: TOOLS[kind].toolName, FrameOfReferenceUID: this.id, referencedImageId: this.#imageId(instance.index),
        viewPlaneNormal: normal(instance), viewUp: columnCosines(instance).map((value) => -value),
      },
      data: {
        label: "", author: signature(author, at), cachedStats: {},
        handles: {
          points: points.map(([row, column]) => positionOf(instance, row, column)), activeHandleIndex: null,
          textBox: { hasMoved: false, worldPosition: [0, 0, 0], worldBoundingBox: { topLeft: [0, 0, 0], topRight: [0, 0, 0], bottomLeft: [0, 0, 0], bottomRight: [0, 0, 0] } },
        },
      },
    }, this.#element);
    this.#done.add(id);
    if (!mine) {
      this.#theirs.add(id);
      annotation.locking.setAnnotationLocked(id, true);
    }
    this.#viewport.render();
  }

  /** Makes a measuring tool take the left button ("" for none; what was measured stays visible). */
  use(name) {
    for (const [key, tool] of Object.entries(TOOLS)) {
      if (key === name) {
        this.#group.setToolActive(tool.toolName, {
          bindings: [{ mouseButton: ToolEnums.MouseBindings.Primary }, { numTouchPoints: 1 }],
        });
      } else if (name) this.#group.setToolPassive(tool.toolName);
      else this.#group.setToolEnabled(tool.toolName);
    }
  }

  /** Takes off one's own measurements on the slice on screen: the chosen ones, or all. Gives their ids. */
  removeMeasurements(onlySelected) {
    const selected = new Set(annotation.selection.getAnnotationsSelected());
    const here = this.#imageId(this.#latest);
    const gone = this.#mine().filter(({ annotationUID: id, metadata }) => (
      metadata.referencedImageId === here && !this.#theirs.has(id) && (!onlySelected || selected.has(id))));
    gone.forEach((one) => this.removeMeasurement(one.annotationUID));
    return gone.map((one) => one.annotationUID);
  }

  removeMeasurement(id) {
    annotation.state.removeAnnotation(id);
    this.#viewport.render();
  }

  draw(instance, hu, view, place) {
    this.#latest = instance.index;
    this.#wanted = { instance, view: { ...view }, place };
    clearTimeout(this.#rest);
    if (this.#fastest <= SLOW_MS) return this.#start();
    this.#moving.draw(instance, hu, view, place);
    this.#moving.hidden = false;
    this.onDrawn?.(instance.index);
    this.#rest = setTimeout(() => this.#start(), REST_MS);
  }

  #start() {
    if (!this.#busy) this.#work();
  }

  #rendered() {
    if (this.#begun) this.#fastest = Math.min(this.#fastest, performance.now() - this.#begun);
    this.#begun = 0;
    if (this.#wanted) return;
    this.#moving.hidden = true;
    this.onDrawn?.(this.#shown);
  }

  async #work() {
    this.#busy = true;
    try {
      while (this.#wanted) {
        const { instance, view, place } = this.#wanted;
        this.#wanted = null;
        this.#begun = performance.now();
        if (instance.index !== this.#shown) {
          await this.#viewport.setImageIdIndex(instance.index);
          this.#shown = instance.index;
        }
        if (this.#wanted) continue;
        this.#resize(place);
        this.#paint(instance, view, place);
      }
    } finally {
      this.#busy = false;
    }
  }

  #resize(place) {
    const size = `${place.width}x${place.height}x${window.devicePixelRatio}`;
    if (size === this.#size) return;
    if (this.#size) this.#engine.resize(true, true);
    this.#size = size;
  }

  #paint(instance, view, place) {
    this.#grey(view);
    this.#viewport.setCamera(cameraFor(instance, place, this.#viewport.getCamera()));
    this.#viewport.render();
  }

  /** A window by the range of cornerstone's own function; all else by a function made of the table. */
  #grey(look) {
    const { actor } = this.#viewport.getDefaultActor();
    const property = actor.getProperty();
    if (this.#linear) property.setRGBTransferFunction(0, this.#linear);
    this.#linear = null;
    const range = greyRange(look);
    const [lower, upper] = range ?? [-32768, 32767];
    this.#viewport.setProperties({ voiRange: { lower, upper }, invert: look.invert });
    if (range) return;
    // Of the 1,024 greys that vtk.js would take, a table over all of CT's values would be too coarse.
    actor.getMapper().setColorTextureWidth(4096);
    this.#linear = property.getRGBTransferFunction(0);
    property.setRGBTransferFunction(0, this.#throughTable(look));
  }

  #throughTable(look) {
    const { center, width, table, voiFunction, invert } = look;
    const key = { center, width, table, voiFunction, invert };
    if (!this.#made || Object.keys(key).some((name) => key[name] !== this.#made.key[name])) {
      this.#made = { key, transfer: transferFunction(greyTable(look), invert) };
    }
    return this.#made.transfer;
  }

  #forget(index) {
    const imageId = this.#imageId(index);
    if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId, { force: true });
  }

  remove() {
    ToolGroupManager.destroyToolGroup(`tools-${this.id}`);
    this.#closed.abort();
    clearTimeout(this.#rest);
    this.#moving.remove();
    this.#mine().forEach((one) => annotation.state.removeAnnotation(one.annotationUID));
    this.slices.instances.forEach((one) => this.#forget(one.index));
    this.#engine.destroy();
    this.#element.remove();
    screens.delete(this.id);
  }
}

/** A table as vtk.js takes it: a point wherever the grey changes. Outside of these the first and the last grey stay. */
function transferFunction(grey, invert) {
  const made = utilities.createLinearRGBTransferFunction({ lower: 0, upper: 1 });
  made.removeAllPoints();
  const put = (hu) => {
    const value = grey[hu & 0xffff] / 255;
    const shown = invert ? 1 - value : value;
    made.addRGBPoint(hu, shown, shown, shown);
  };
  for (let hu = -32767; hu < 32768; hu++) {
    if (grey[hu & 0xffff] === grey[(hu - 1) & 0xffff]) continue;
    put(hu - 1);
    put(hu);
  }
  if (!made.getSize()) put(0);
  return made;
}

/** The camera that shows the slice exactly as `place` says; a flip is a look from the other side. */
function cameraFor(instance, place, present) {
  const middle = toPixel(place, place.width / 2, place.height / 2);
  const focalPoint = positionOf(instance, middle.row, middle.column);
  const viewUp = directionOnScreen(instance, place, 0, -1);
  const right = directionOnScreen(instance, place, 1, 0);
  const viewPlaneNormal = cross(right, viewUp);
  const back = Math.hypot(...present.position.map((value, i) => value - present.focalPoint[i])) || 1000;
  const position = focalPoint.map((value, i) => value + viewPlaneNormal[i] * back);
  return { focalPoint, position, viewUp, viewPlaneNormal, parallelScale: place.height / 2 / place.scale };
}

