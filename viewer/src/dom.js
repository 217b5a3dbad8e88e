// Small builders; every attribute is set by itself, because the site forbids inline styles and handlers.
const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const OWN_ICONS = {
  rotate: "M2.5 6.5h7v7h-7zM5.5 3.5h5a3 3 0 0 1 3 3v2.5M11.5 7.5l2 2 2-2",
  length: "M2 13 13 2M1 11l4 4M11 1l4 4",
  bidirectional: "M2 13 13 2M5 5l6 6",
  ellipse: "M8 3.2c4 0 7 2.1 7 4.8s-3 4.8-7 4.8-7-2.1-7-4.8 3-4.8 7-4.8z",
  probe: "M8 1v5M8 10v5M1 8h5M10 8h5M8 7.7v.6",
};

/** One of our own icons, or one of the site's sprite. */
export function icon(name) {
  const own = OWN_ICONS[name];
  const sprite = document.querySelector('meta[name="icon-sprite"]')?.content;
  const inside = own
    ? svg("path", { d: own, fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linecap": "round" })
    : svg("use", { href: `${sprite}#${name}` });
  return svg("svg", { class: "ctv-icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, inside);
}
