// Keeps measurements on the server: each new one once, each change by its author, and says what could not be kept.
import { ask } from "./saving.js";

const PAUSE_MS = 700;
const RETRY_MS = 8000;
const SAID = "Measurement not kept yet. It stays here and is tried again.";

export class Keeping {
  #known = new Map(); // id -> { revision, points as text }
  #timers = new Map();
  #gone = new Set();

  /** `say(text, kind)` tells the person; `lost(id)` takes a measurement off that the server refused. */
  constructor(manifest, say, lost) {
    Object.assign(this, { url: manifest.measurements_url, may: manifest.may_measure, say, lost });
  }

  async all() {
    const kept = await ask(this.url);
    for (const one of kept) this.#remember(one);
    return kept;
  }

  isKept(id) {
    return this.#known.has(id);
  }

  /** A new or moved measurement; called often, sent when the hand rests. */
  changed(measurement) {
    if (!this.may) return this.say("Not kept: you may look at this case, not add to it.", "warn");
    const text = JSON.stringify(measurement.points);
    if (this.#gone.has(measurement.public_id) || this.#known.get(measurement.public_id)?.text === text) return undefined;
    return this.#later(measurement, this.isKept(measurement.public_id) ? PAUSE_MS : 0);
  }

  async removed(id) {
    clearTimeout(this.#timers.get(id));
    this.#gone.add(id);
    if (!this.isKept(id)) return;
    try {
      await ask(`/api/v1/measurements/${id}/`, "DELETE");
      this.say("Measurement deleted", "");
    } catch {
      this.say("The measurement is not deleted yet; it is tried again.", "warn");
      setTimeout(() => this.removed(id), RETRY_MS);
    }
  }

  #remember(one) {
    this.#known.set(one.public_id, { revision: one.revision, text: JSON.stringify(one.points) });
  }

  #later(measurement, milliseconds) {
    clearTimeout(this.#timers.get(measurement.public_id));
    this.#timers.set(measurement.public_id, setTimeout(() => this.#send(measurement), milliseconds));
  }

  async #send(measurement) {
    const { public_id: id, points } = measurement;
    const known = this.#known.get(id);
    try {
      this.#remember(known
        ? await ask(`/api/v1/measurements/${id}/`, "PUT", { points, revision: known.revision })
        : await ask(this.url, "POST", measurement));
      this.say("Measurement saved", "");
    } catch (problem) {
      const final = problem.status >= 400 && problem.status < 500 && problem.status !== 429;
      this.say(final ? problem.words || "Not kept: the server refused this measurement." : SAID, "warn");
      if (!final) this.#later(measurement, RETRY_MS);
      else if (!known) this.lost(id);
    }
  }
}
