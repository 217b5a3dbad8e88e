// Mouse, pen and fingers on the image, told as: drag(kind, dx, dy, at), wheel(steps), zoom(factor, at), click(at), hover(at).

const DRAG_STARTS = 4;
const BUTTONS = { 1: "pan", 2: "zoom" };

export class Gestures {
  #fingers = new Map();
  #kind = null;
  #moved = false;
  #wheel = 0;

  /** `toolFor(pointerType)` names what the left button or one finger does; "" leaves it to the measuring tools. */
  constructor(port, { toolFor, drag, wheel, zoom, click, hover }) {
    this.port = port;
    Object.assign(this, { toolFor, drag, wheel, zoom, click, hover });
    port.addEventListener("pointerdown", (event) => this.#down(event));
    port.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) port.addEventListener(end, (event) => this.#up(event));
    port.addEventListener("pointerleave", () => hover(null));
    // The middle button would start the browser's own scrolling.
    port.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
    port.addEventListener("contextmenu", (event) => event.preventDefault());
    port.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
  }

  at(event) {
    const box = this.port.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event) {
    this.#fingers.set(event.pointerId, event);
    this.#moved = false;
    this.start = this.at(event);
    if (this.#fingers.size > 1) this.#kind = "pinch";
    else this.#kind = event.button === 0 ? this.toolFor(event.pointerType) : BUTTONS[event.button];
    if (!this.#kind) return;
    this.port.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return this.hover(this.at(event));
    const dx = event.clientX - before.clientX;
    const dy = event.clientY - before.clientY;
    if (this.#kind === "pinch") return this.#pinch(event);
    const at = this.at(event);
    if (!this.#moved && Math.hypot(at.x - this.start.x, at.y - this.start.y) < DRAG_STARTS) return undefined;
    this.#moved = true;
    this.#fingers.set(event.pointerId, event);
    if (this.#kind) this.drag(this.#kind, dx, dy, this.start);
    return undefined;
  }

  #pinch(event) {
    const others = [...this.#fingers.values()].filter((one) => one.pointerId !== event.pointerId);
    const before = this.#fingers.get(event.pointerId);
    this.#fingers.set(event.pointerId, event);
    this.#moved = true;
    const other = others[0];
    if (!other) return;
    const span = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const middle = this.at({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
    this.zoom(span(event) / Math.max(span(before), 1), middle);
    this.drag("pan", (event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2, middle);
  }

  #up(event) {
    const known = this.#fingers.delete(event.pointerId);
    if (known && !this.#moved && event.type === "pointerup" && event.button === 0 && this.#fingers.size === 0) {
      this.click(this.at(event), Boolean(this.#kind));
    }
    if (this.#fingers.size === 0) this.#kind = null;
  }

  #turn(event) {
    event.preventDefault();
    if (event.ctrlKey) return this.zoom(Math.exp(-event.deltaY / 300), this.at(event));
    // A mouse wheel comes in notches of about 100, a touchpad in small steps that add up.
    this.#wheel += event.deltaMode ? event.deltaY * 40 : event.deltaY;
    const steps = Math.abs(this.#wheel) >= 40 ? Math.sign(this.#wheel) * Math.max(1, Math.floor(Math.abs(this.#wheel) / 100)) : 0;
    if (!steps) return undefined;
    this.#wheel = 0;
    return this.wheel(steps);
  }
}
