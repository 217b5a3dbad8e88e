// An earlier study beside the current one; both scroll together by their position in the patient.
import { icon, make } from "./elements.js";

let beside = null; // { box, screen, thumb, select }
let linked = true;
let offset = 0; // mm from a position of the current study to the same place in the prior, counted its way
let side = 0; // 1: both series count the same way; -1: against each other; 0: their positions do not compare
let leading = false;
// The cosine of the angle, 14 degrees, within which two series look the same way.
const SAME_WAY = 0.97;

const stage = () => document.querySelector(".stage");
const current = () => document.querySelector("ct-viewer:not([data-prior])");

function close() {
  beside?.thumb.setAttribute("aria-pressed", "false");
  beside?.box.remove();
  stage().classList.remove("two-studies");
  beside = null;
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function sideOf(mine, theirs) {
  const cosine = mine && theirs ? dot(mine, theirs) : 0;
  return Math.abs(cosine) < SAME_WAY ? 0 : Math.sign(cosine);
}

/** Different scanners count from different places: without overlap the upper ends are laid together. */
function align() {
  const [mine, ends] = [current()?.range, beside.screen.range];
  side = sideOf(current()?.normal, beside.screen.normal);
  offset = 0;
  if (!mine || !ends) return "The files do not say where the slices lie, so each study scrolls by itself.";
  if (!side) return "The two series are cut in different directions, so each scrolls by itself.";
  const theirs = side > 0 ? ends : [-ends[1], -ends[0]];
  const overlap = Math.min(mine[1], theirs[1]) - Math.max(mine[0], theirs[0]);
  if (overlap > 0.3 * Math.min(mine[1] - mine[0], theirs[1] - theirs[0])) return "";
  const upper = current().normal[2] < 0 ? 0 : 1;
  offset = theirs[upper] - mine[upper];
  return "The tables stood differently: the upper ends are laid together. Unlink to adjust.";
}

/** Once both series are known: also after another series of the current study was chosen. */
function realign() {
  if (!current()?.manifest || !beside.screen?.manifest) return;
  beside.words.textContent = beside.words.title = align();
  beside.link.disabled = !side;
  showLink();
}

function showLink() {
  beside.link.setAttribute("aria-pressed", String(linked && side !== 0));
}

function follow(from) {
  if (!beside || !linked || !side || leading || from.position === null || from.position === undefined) return;
  const other = from === beside.screen ? current() : beside.screen;
  if (!other?.manifest) return;
  leading = true;
  other.goToPosition(from === beside.screen ? side * from.position - offset : side * (from.position + offset));
  leading = false;
}

function link(on) {
  linked = on;
  showLink();
  // What is on screen now is taken to be the same place.
  if (on && current()?.position != null && beside.screen.position != null) offset = side * beside.screen.position - current().position;
}

function viewerOf(manifest) {
  const screen = make("ct-viewer", { "manifest-url": `${manifest}?as=prior`, "data-prior": true });
  screen.addEventListener("ct-ready", () => {
    realign();
    follow(current());
    if (!current()?.manifest) return;
    const { center, width } = current().view;
    if (screen.view.center !== center || screen.view.width !== width) screen.showWindow(center, width);
  });
  return screen;
}

function open(thumb) {
  const again = beside?.thumb === thumb;
  close();
  if (again) return;
  const all = JSON.parse(thumb.dataset.seriesList);
  const linkButton = make("button", { type: "button", class: "btn btn-quiet btn-sm", "aria-pressed": "true", title: "Both studies scroll together" }, icon("link-45deg"), "Together");
  const closeButton = make("button", { type: "button", class: "btn btn-quiet btn-sm", "aria-label": "Close the earlier study" }, icon("x-lg"));
  const select = make("select", { class: "input", "aria-label": "Series of the earlier study" }, ...all.map((one) => make("option", { value: one.manifest }, one.label)));
  const words = make("span", { class: "note", role: "status" });
  const box = make("div", { class: "prior-box", role: "region", "aria-label": `Earlier study, ${thumb.dataset.date}` },
    make("div", { class: "prior-head" }, make("b", {}, thumb.dataset.date), select, linkButton,
      make("a", { href: thumb.dataset.case, target: "_blank", rel: "noopener" }, "Open"), words, make("span", { class: "grow" }), closeButton));
  beside = { box, thumb, link: linkButton, words };
  const show = () => {
    beside.screen?.remove();
    side = 0;
    beside.screen = viewerOf(select.value);
    box.append(beside.screen);
  };
  linked = true;
  stage().append(box);
  stage().classList.add("two-studies");
  thumb.setAttribute("aria-pressed", "true");
  show();
  select.addEventListener("change", show);
  linkButton.addEventListener("click", () => link(!linked));
  closeButton.addEventListener("click", () => {
    close();
    thumb.focus();
  });
}

document.addEventListener("ct-ready", (event) => beside && event.target === current() && realign());
document.addEventListener("ct-slice", (event) => follow(event.target));
document.addEventListener("ct-window", (event) => {
  if (!beside || leading) return;
  const other = event.target === beside.screen ? current() : beside.screen;
  if (other?.manifest) other.showWindow(event.detail.center, event.detail.width);
});
document.querySelectorAll("[data-prior-study]").forEach((thumb) => thumb.addEventListener("click", () => open(thumb)));
