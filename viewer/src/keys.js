// Keys go to the viewer that was used last; fields and dialogs keep theirs.
import { ACTIONS, PRESETS, TOOLS } from "./toolbar.js";

let active = null;

export function listenForKeys(viewer) {
  active ??= viewer;
  viewer.addEventListener("pointerdown", () => (active = viewer));
  viewer.addEventListener("focusin", () => (active = viewer));
}

const STEPS = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e6, End: 1e6 };

function busyElsewhere(target) {
  if (target.closest?.(".modal, .offcanvas.show, .dropdown-menu.show")) return true;
  return Boolean(target.closest?.("input:not([type=range]), textarea, select, [contenteditable]"));
}

function commandFor(viewer, key) {
  if (key in STEPS) return () => viewer.step(STEPS[key]);
  if (key === " ") return () => viewer.act("cine");
  if (key === "Escape") return () => (viewer.closeHelp(), viewer.chooseTool("window", false), (viewer.pickMode = false));
  if (key === "Delete" || key === "Backspace") return () => viewer.act("delete-mark");
  const letter = key.toLowerCase();
  const tool = TOOLS.find((one) => one.key === letter);
  if (tool) return () => viewer.chooseTool(tool.name);
  const preset = Object.keys(PRESETS).find((name) => PRESETS[name].key === letter);
  if (preset) return () => viewer.usePreset(preset);
  const action = ACTIONS.find((one) => one.key === letter);
  return action && (() => viewer.act(action.name));
}

function pressed(event) {
  const viewer = active?.isConnected ? active : document.querySelector("ct-viewer");
  if (!viewer?.manifest || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (busyElsewhere(event.target)) return;
  // A focused button or link is pressed by Space, and tabs and radios walk with arrows.
  const own = viewer.contains(event.target) || event.target === document.body || event.target.id === "content";
  if (!own && (event.key === " " || event.key in STEPS)) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  if (event.target.matches?.("input[type=range]") && event.key in STEPS) return;
  const command = commandFor(viewer, event.key);
  if (!command) return;
  // A page may have its own use for Escape too.
  if (event.key !== "Escape") event.preventDefault();
  command();
}

// While capturing, because cornerstone keeps the keys of its own element to itself.
document.addEventListener("keydown", pressed, true);
