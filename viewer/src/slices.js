// Fetches and keeps the Hounsfield units of a series: what is looked at first, then its neighbours.
import { fetchOrExplain, ViewerError } from "./manifest.js";

const PARALLEL = 4;
const RETRY_MS = 3000;
const memory = () => ((navigator.deviceMemory || 8) >= 4 ? 640 : 160) * 1024 * 1024;

export class Slices extends EventTarget {
  #kept = new Map(); // index -> Int16Array
  #coming = new Map(); // index -> Promise
  #waiting = new Map(); // index -> time before which it is not tried again
  #bytes = 0;
  #current = 0;
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

  /** The int16 HU of a slice, row by row. Rejects with a ViewerError. */
  load(index) {
    const kept = this.#kept.get(index);
    if (kept) return Promise.resolve(kept);
    if (!this.#coming.has(index)) this.#coming.set(index, this.#fetch(index));
    return this.#coming.get(index);
  }

  /** Tells which slice is on screen; its neighbours are fetched next, ahead of the movement first. */
  look(index) {
    if (index !== this.#current) this.#direction = index > this.#current ? 1 : -1;
    this.#current = index;
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
      if (buffer.byteLength !== instance.rows * instance.columns * 2) {
        throw new ViewerError(`Image ${index + 1} came incomplete. The others are kept; it is tried again by itself.`);
      }
      this.#keep(index, new Int16Array(buffer));
      return this.#kept.get(index);
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
    this.#evict(index);
    this.dispatchEvent(new CustomEvent("slice", { detail: { index } }));
  }

  #evict(justKept) {
    const far = (index) => Math.abs(index - this.#current);
    while (this.#bytes > memory()) {
      const farthest = [...this.#kept.keys()].reduce((a, b) => (far(b) > far(a) ? b : a));
      if (farthest === justKept || farthest === this.#current) {
        this.#prefetching = false;
        return;
      }
      this.#bytes -= this.#kept.get(farthest).byteLength;
      this.#kept.delete(farthest);
      this.dispatchEvent(new CustomEvent("evicted", { detail: { index: farthest } }));
    }
  }

  #fill() {
    while (this.#prefetching && this.#coming.size < PARALLEL) {
      const next = this.#next();
      if (next === undefined) return;
      this.load(next).catch(() => setTimeout(() => this.#fill(), RETRY_MS));
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
