// Everything around the image that can be pressed. It only builds; viewer.js decides what happens.
import { element, icon } from "./dom.js";

export const PRESETS = {
  lung: { label: "Lung", center: -600, width: 1500, key: "1" },
  mediastinum: { label: "Mediastinum", center: 40, width: 400, key: "2" },
  bone: { label: "Bone", center: 400, width: 1800, key: "3" },
  soft: { label: "Soft", center: 50, width: 350, key: "4" },
  file: { label: "File", key: "5" },
};

export const TOOLS = [
  { name: "window", label: "Window", icon: "circle-half", key: "w" },
  { name: "scroll", label: "Scroll", icon: "layers", key: "s" },
  { name: "zoom", label: "Zoom", icon: "zoom-in", key: "z" },
  { name: "pan", label: "Pan", icon: "arrows-move", key: "p" },
  { name: "length", label: "Length", icon: "length", key: "l", measures: true },
  { name: "bidirectional", label: "Two axes", icon: "bidirectional", key: "b", measures: true },
  { name: "ellipse", label: "Ellipse", icon: "ellipse", key: "e", measures: true },
  { name: "probe", label: "Probe", icon: "probe", key: "d", measures: true },
];

export const ACTIONS = [
  { name: "rotate", label: "Rotate 90° clockwise", icon: "rotate", key: "r" },
  { name: "flip-h", label: "Flip left and right", icon: "symmetry-vertical", key: "h" },
  { name: "flip-v", label: "Flip top and bottom", icon: "symmetry-horizontal", key: "v" },
  { name: "invert", label: "Invert grey", icon: "square-half", key: "i" },
  { name: "mpr", label: "Three planes", icon: "grid-1x2", key: "m" },
  { name: "heatmap", label: "Heatmap of the findings", icon: "fire", key: "t" },
  { name: "clear-marks", label: "Remove my measurements on this image", icon: "eraser", key: "" },
  { name: "reset", label: "Reset the view", icon: "arrow-counterclockwise", key: "0" },
  { name: "hide-ai", label: "Hide what the AI marked", icon: "eye-slash", key: "a" },
  { name: "help", label: "All keys", icon: "question-circle", key: "?" },
];

function button(attributes, iconName, label, key) {
  return element(
    "button",
    { type: "button", class: "ctv-button", title: key ? `${label} (${key.toUpperCase()})` : label, "aria-label": label, ...attributes },
    ...(iconName ? [icon(iconName)] : []),
    element("span", { class: "ctv-label" }, label),
  );
}

export function buildToolbar() {
  const group = (label, ...buttons) => element("div", { class: "ctv-group", role: "group", "aria-label": label }, ...buttons);
  const tools = TOOLS.map((tool) =>
    button({ "data-tool": tool.name, "aria-pressed": "false", disabled: Boolean(tool.measures) }, tool.icon, tool.label, tool.key));
  const presets = Object.entries(PRESETS).map(([name, preset]) =>
    element("button", {
      type: "button", class: "ctv-button ctv-preset", "data-preset": name, "aria-pressed": "false",
      title: preset.center === undefined ? `The file's own window; again for its next one (${preset.key})` : `Level ${preset.center}, width ${preset.width} HU (${preset.key})`,
    }, preset.label));
  const actions = ACTIONS.map((action) =>
    button({ "data-action": action.name, ...(["invert", "hide-ai", "mpr", "heatmap"].includes(action.name) && { "aria-pressed": "false" }) },
      action.icon, action.label, action.key));
  return element("div", { class: "ctv-tools", role: "toolbar", "aria-label": "Image tools" },
    group("Tool for the left button", ...tools),
    group("Window", ...presets, element("select", { class: "ctv-offers", "data-input": "offer", "aria-label": "All windows and tables of the file", hidden: true })),
    element("span", { class: "ctv-grow" }), group("View", ...actions));
}

export function buildControls(count) {
  const number = (name, label, min, max) =>
    element("label", { class: "ctv-number" }, label,
      element("input", { type: "number", "data-input": name, min, max, step: "1", inputmode: "numeric", "aria-label": name === "center" ? "Window level, HU" : "Window width, HU" }));
  return element("div", { class: "ctv-controls" },
    element("button", { type: "button", class: "ctv-button", "data-action": "cine", "aria-pressed": "false", title: "Play (Space)", "aria-label": "Play" }, icon("play-fill")),
    element("input", { type: "range", class: "ctv-slider", "data-input": "slice", min: "1", max: String(count), value: "1", step: "1", "aria-label": "Image", disabled: count < 2 }),
    element("label", { class: "ctv-number ctv-opacity", hidden: true }, "Heatmap",
      element("input", { type: "range", "data-input": "opacity", min: "0", max: "100", value: "50", "aria-label": "Opacity of the heatmap, percent" })),
    number("center", "L", "-32768", "32767"), number("width", "W", "1", "65536"));
}

/** Whether the view looks through what the file offers. */
export const isShown = (offer, view) =>
  (offer.lut === undefined ? (view.lut ?? null) === null && offer.center === view.center && offer.width === view.width : offer.lut === view.lut);

/** One choice for each window and table of the file, where it has several. */
function showOffers(select, offers, view) {
  const words = offers.map((one) => one.words + (one.lut === undefined ? ` (${Math.round(one.center)} / ${Math.round(one.width)})` : ""));
  if (select.dataset.words !== words.join("\n")) {
    select.dataset.words = words.join("\n");
    select.replaceChildren(element("option", { value: "" }, "Windows of the file"), ...words.map((one, at) => element("option", { value: at }, one)));
  }
  select.hidden = offers.length < 2;
  const shown = offers.findIndex((one) => isShown(one, view));
  if (document.activeElement !== select) select.value = shown < 0 ? "" : String(shown);
}

/** Makes the controls say what is on screen; `offers` is what the file itself offers. */
export function showState(viewer, view, offers) {
  const put = (name, value) => {
    const input = viewer.querySelector(`[data-input="${name}"]`);
    // A number that is being typed is left alone.
    if (input.type === "range" || document.activeElement !== input) input.value = value;
    return input;
  };
  const slider = put("slice", view.index + 1);
  slider.setAttribute("aria-valuetext", `image ${view.index + 1} of ${slider.max}`);
  put("center", Math.round(view.center));
  put("width", Math.round(view.width));
  let pressed = false; // The file's own window may be one of the named ones.
  for (const button of viewer.toolbar.querySelectorAll("[data-preset]")) {
    const { preset } = button.dataset;
    const same = !pressed && (preset === "file" ? offers : [PRESETS[preset]]).some((one) => isShown(one, view));
    pressed ||= same;
    button.setAttribute("aria-pressed", String(same));
    button.disabled = preset === "file" && !offers.length;
  }
  showOffers(viewer.toolbar.querySelector('[data-input="offer"]'), offers, view);
}

export function buildHelp() {
  const lower = (words) => words[0].toLowerCase() + words.slice(1);
  const rows = [
    ["Wheel, ↑ ↓", "one image on or back"], ["Page ↑ ↓", "ten images"], ["Home, End", "first, last image"],
    ["Space", "play or stop"], ["Right drag, Ctrl + wheel", "zoom"], ["Middle drag", "move the image"], ["Two fingers", "zoom and move"],
    ...TOOLS.map((tool) => [tool.key.toUpperCase(), `left drag: ${lower(tool.label)}`]),
    ...Object.values(PRESETS).map((preset) => [preset.key, preset.center === undefined ? "the file's own windows" : `${lower(preset.label)} window`]),
    ...ACTIONS.filter((action) => action.key).map((action) => [action.key.toUpperCase(), lower(action.label)]),
    ["Delete", "remove the chosen measurement"], ["Esc", "back to the window tool"],
  ];
  const list = element("dl", {}, ...rows.map(([keys, words]) =>
    element("div", {}, element("dt", {}, ...keys.split(", ").map((key) => element("kbd", {}, key))), element("dd", {}, words))));
  const close = element("button", { type: "button", class: "ctv-button", "data-action": "help", "aria-label": "Close" }, icon("x-lg"));
  return element("div", { class: "ctv-help", "data-help": true, role: "dialog", "aria-label": "All keys", tabindex: "-1", hidden: true },
    element("header", {}, element("h2", {}, "Keys and gestures"), close), list);
}
