// Fetches and keeps the Hounsfield units of a series: what is looked at first, then its neighbours.
import { fetchOrExplain, ViewerError } from "./manifest.js";

const PARALLEL = 4;
const RETRY_MS = 3000;
const memory = () => ((navigator.deviceMemory || 8) >= 4 ? 640 : 160) * 1024 * 1024;
const bytesOf = ({ rows, columns }) => rows * columns * 2;

export class Slices extends EventTarget {
  #kept = new Map(); // index -> Int16Array
  #coming = new Map(); // index -> Promise
  #waiting = new Map(); // index -> time before which it is not tried again
  #bytes = 0;
  #current = 0;
  #asked = 0; // what somebody waits for: kept wherever it lies
  #direction = 1;
  #prefetching = false;
  #closed = new AbortController();

  constructor(instances) {
    super();
    this.instances = instances;
  }

  get(index) {
    return this.#kept.get(index);
  }

  get count() {
    return this.#kept.size;
  }

  /** Another number whenever other slices are kept. */
  changes = 0;

  /** Whether all slices of the series can be kept at once. */
  get fits() {
    return this.instances.reduce((sum, one) => sum + bytesOf(one), 0) <= memory();
  }

  /** The int16 HU of a slice, row by row. Rejects with a ViewerError. */
  load(index) {
    this.#asked = index;
    return this.#load(index);
  }

  #load(index) {
    const kept = this.#kept.get(index);
    if (kept) return Promise.resolve(kept);
    if (!this.#coming.has(index)) this.#coming.set(index, this.#fetch(index));
    return this.#coming.get(index);
  }

  /** Tells which slice is on screen; its neighbours are fetched next, ahead of the movement first. */
  look(index) {
    if (index !== this.#current) this.#direction = index > this.#current ? 1 : -1;
    this.#current = this.#asked = index;
    this.#fill();
  }

  startPrefetch() {
    this.#prefetching = true;
    this.#fill();
  }

  close() {
    this.#closed.abort();
    this.#kept.clear();
    this.#prefetching = false;
  }

  async #fetch(index) {
    const instance = this.instances[index];
    try {
      const response = await fetchOrExplain(instance.huUrl, { signal: this.#closed.signal });
      const buffer = await response.arrayBuffer();
      if (buffer.byteLength !== bytesOf(instance)) {
        throw new ViewerError(`Image ${index + 1} came incomplete. The others are kept; it is tried again by itself.`);
      }
      const hu = new Int16Array(buffer);
      this.#keep(index, hu);
      return hu;
    } catch (problem) {
      this.#waiting.set(index, Date.now() + RETRY_MS);
      throw problem;
    } finally {
      this.#coming.delete(index);
      queueMicrotask(() => this.#fill());
    }
  }

  #keep(index, hu) {
    this.#kept.set(index, hu);
    this.#waiting.delete(index);
    this.#bytes += hu.byteLength;
    this.changes++;
    this.dispatchEvent(new CustomEvent("slice", { detail: { index } }));
    this.#evict();
  }

  #far(index) {
    return Math.abs(index - this.#current);
  }

  /** The farthest of those kept that nobody looks at or waits for. */
  get #farthest() {
    const free = [...this.#kept.keys()].filter((index) => index !== this.#current && index !== this.#asked);
    return free.length ? free.reduce((a, b) => (this.#far(b) > this.#far(a) ? b : a)) : undefined;
  }

  #evict() {
    while (this.#bytes > memory()) {
      const index = this.#farthest;
      if (index === undefined) return;
      this.#bytes -= this.#kept.get(index).byteLength;
      this.#kept.delete(index);
      this.changes++;
      this.dispatchEvent(new CustomEvent("evicted", { detail: { index } }));
    }
  }

  /** Whether there is room for a slice, or one farther away would make room: nothing is fetched only to be dropped. */
  #worthIt(index) {
    const coming = [index, ...this.#coming.keys()].reduce((sum, one) => sum + bytesOf(this.instances[one]), 0);
    return this.#bytes + coming <= memory() || this.#far(this.#farthest) > this.#far(index);
  }

  #fill() {
    while (this.#prefetching && this.#coming.size < PARALLEL) {
      const next = this.#next();
      if (next === undefined || !this.#worthIt(next)) return;
      this.#load(next).catch(() => setTimeout(() => this.#fill(), RETRY_MS));
    }
  }

  /** The nearest slice that is missing; behind the movement counts double. */
  #next() {
    const now = Date.now();
    let best;
    let bestCost = Infinity;
    for (let index = 0; index < this.instances.length; index++) {
      if (this.#kept.has(index) || this.#coming.has(index) || this.#waiting.get(index) > now) continue;
      const steps = (index - this.#current) * this.#direction;
      const cost = steps >= 0 ? steps : -2 * steps;
      if (cost < bestCost) [best, bestCost] = [index, cost];
    }
    return best;
  }
}
