// Builders for what the reading page makes by itself. Text is always set as text.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function icon(name) {
  const sprite = document.querySelector('meta[name="icon-sprite"]')?.content || "";
  return svg("svg", { class: "icon", "aria-hidden": "true", focusable: "false" }, svg("use", { href: `${sprite}#${name}` }));
}

const STEPS = {
  high: ["high", () => svg("path", { d: "M6 .5 12 11.5H0z" })],
  middle: ["mid", () => svg("path", { d: "M6 0 12 6 6 12 0 6z" })],
  low: ["low", () => svg("circle", { cx: 6, cy: 6, r: 5 })],
};

/** Shape, number and word, as templates/includes/suspicion.html has them. */
export function suspicion(score, step) {
  const [name, shape] = STEPS[step] || ["none", () => svg("rect", { x: 1, y: 1, width: 10, height: 10 })];
  const words = score === null || score === undefined ? "not assessed" : `${score.toFixed(2)} ${step}`;
  return make("span", { class: `susp susp-${name}` },
    svg("svg", { class: "shape", viewBox: "0 0 12 12", "aria-hidden": "true" }, shape()), make("span", {}, words));
}

export function notice(kind, iconName, title, text, ...actions) {
  return make("div", { class: `notice notice-${kind}` }, icon(iconName),
    make("div", {}, make("b", {}, title), text ? make("div", {}, text) : null,
      actions.length ? make("div", { class: "actions-row" }, ...actions) : null));
}

export function button(words, kind, onClick) {
  const node = make("button", { type: "button", class: `btn ${kind}` }, words);
  node.addEventListener("click", onClick);
  return node;
}

let numbers = 0;

/** Radio buttons as one row of choices. */
export function segmented(label, choices, chosen, onChoose) {
  const name = `choice-${(numbers += 1)}`;
  const row = make("div", { class: "seg", role: "radiogroup", "aria-label": label });
  for (const [value, words] of choices) {
    const input = make("input", { type: "radio", name, id: `${name}-${value}`, value });
    input.checked = value === chosen;
    input.addEventListener("change", () => onChoose(value));
    row.append(input, make("label", { for: `${name}-${value}` }, words));
  }
  return row;
}

export function checkLine(words, checked, onChange) {
  const input = make("input", { type: "checkbox" });
  input.checked = checked;
  input.addEventListener("change", () => onChange(input.checked));
  return make("label", { class: "check-line" }, input, make("span", {}, words));
}
