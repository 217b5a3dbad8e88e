// Keeps measurements on the server: each new one once, each change by its author, and says what could not be kept.
import { ask } from "./saving.js";

const PAUSE_MS = 700;
const RETRY_MS = 8000;
const SAID = "Measurement not kept yet. It stays here and is tried again.";
const SAID_OF_DELETING = "The measurement is not deleted yet; it is tried again.";

const textOf = (measurement) => JSON.stringify(measurement.points);
const stored = (answer) => ({ revision: answer.revision, text: textOf(answer) });
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 429;

/** Whether the server has what is wanted. What was sent without an answer may have arrived. */
function isSettled(one) {
  if (one.gone) return !one.kept && !one.sent;
  return !one.wanted || textOf(one.wanted) === one.kept?.text;
}

export class Keeping {
  // id -> { id, kept: { revision, points as text }, wanted: the measurement as on screen, gone: deleted here,
  //         sent: points as text without an answer yet, busy: a request is on its way, timer }
  #each = new Map();

  /** `say(text, kind)` tells the person; `lost(id)` takes a measurement off that the server refused. */
  constructor(manifest, say, lost) {
    Object.assign(this, { url: manifest.measurements_url, may: manifest.may_measure, say, lost });
    window.addEventListener("pagehide", () => this.#each.forEach((one) => this.#step(one)));
  }

  async all() {
    const found = await ask(this.url);
    for (const one of found) this.#of(one.public_id).kept ??= stored(one);
    return found;
  }

  /** A new or moved measurement; called often, sent when the hand rests. */
  changed(measurement) {
    if (!this.may) return this.say("Not kept: you may look at this case, not add to it.", "warn");
    const one = this.#of(measurement.public_id);
    one.wanted = measurement;
    return this.#later(one, one.kept ? PAUSE_MS : 0);
  }

  removed(id) {
    const one = this.#of(id);
    one.gone = true;
    return this.#step(one);
  }

  #of(id) {
    if (!this.#each.has(id)) this.#each.set(id, { id, kept: null, wanted: null, gone: false, sent: "", busy: false });
    return this.#each.get(id);
  }

  #later(one, milliseconds) {
    clearTimeout(one.timer);
    one.timer = setTimeout(() => this.#step(one), milliseconds);
  }

  /** One request at a time: the next one builds on the answer to this one. */
  async #step(one) {
    if (one.busy || isSettled(one)) return;
    clearTimeout(one.timer);
    one.busy = true;
    const pause = await (one.gone ? this.#delete(one) : this.#put(one));
    one.busy = false;
    if (!isSettled(one)) this.#later(one, pause);
  }

  /** How long to wait before what is still to do. */
  async #delete(one) {
    try {
      await ask(this.#urlOf(one), "DELETE");
      this.say("Measurement deleted", "");
    } catch (problem) {
      if (!isFinal(problem)) {
        this.say(SAID_OF_DELETING, "warn");
        return RETRY_MS;
      }
      // One whose first sending had no answer may never have arrived.
      if (one.kept) this.say(`Not deleted: ${problem.words || "the server refused."} Reload to see it.`, "warn");
    }
    Object.assign(one, { kept: null, sent: "" });
    return 0;
  }

  async #put(one) {
    const { wanted } = one;
    let pause = PAUSE_MS;
    try {
      await (one.kept ? this.#change(one, wanted) : this.#add(one, wanted));
      one.sent = "";
      if (isSettled(one)) this.say("Measurement saved", "");
    } catch (problem) {
      if (isFinal(problem)) this.#refused(one, wanted, problem);
      else pause = this.#unheard(one);
    }
    return one.gone ? 0 : pause;
  }

  #unheard(one) {
    if (!one.gone) this.say(SAID, "warn");
    return RETRY_MS;
  }

  /** Sent again under the same id, the server answers with what it has: perhaps earlier points. */
  async #add(one, wanted) {
    one.sent = textOf(wanted);
    one.kept = stored(await ask(this.url, "POST", wanted));
  }

  async #change(one, wanted) {
    if (one.sent) await this.#lookAgain(one);
    if (one.kept.text === textOf(wanted)) return;
    one.sent = textOf(wanted);
    const { revision } = await ask(this.#urlOf(one), "PUT", { points: wanted.points, revision: one.kept.revision });
    one.kept = { revision, text: one.sent };
  }

  /** A change without an answer may be stored: then the next one builds on it. */
  async #lookAgain(one) {
    const found = (await ask(this.url)).find(({ public_id: id }) => id === one.id);
    if (found && textOf(found) === one.sent) one.kept = stored(found);
  }

  #refused(one, wanted, problem) {
    one.sent = "";
    if (one.wanted === wanted) one.wanted = null;
    if (one.gone) return;
    this.say(problem.words || "Not kept: the server refused this measurement.", "warn");
    if (one.kept) return;
    one.gone = true;
    this.lost(one.id);
  }

  #urlOf(one) {
    return `/api/v1/measurements/${one.id}/`;
  }
}
