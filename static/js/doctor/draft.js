// What the doctor has filled in and not signed yet. It is kept in this tab at once and on the server a
// moment later, so that neither a lost connection nor a closed browser loses it. Two tabs never write
// over each other: who saves over a version they have not seen is asked. Goes at sign and log-out.

import { ask } from "./server.js";

const EMPTY = { cancer: "", diagnoses: "", text: "", answers: {}, missed: [], nodules: [], incomplete: false, lung_rads: "", lung_rads_reason: "" };
const WAIT = 700;
const AGAIN = 5000;

export class Draft {
  #timer = 0;
  #sending = null;

  /** kept: what the server holds. tell(words), differs(draft): how to say what became of it. */
  constructor({ user, caseId, url, kept, tell, differs }) {
    Object.assign(this, { key: `draft:${user}:${caseId}`, url, tell, differs });
    const local = this.#read();
    this.version = kept.version;
    this.unsaved = Boolean(local?.unsaved);
    const found = this.unsaved ? local.data : kept.version ? kept.data : null;
    this.found = Boolean(found);
    this.data = { ...structuredClone(EMPTY), ...(found || {}) };
    if (this.unsaved && local.version === kept.version) this.#later();
    else if (this.unsaved) this.conflict = kept;
    else sessionStorage.removeItem(this.key);
    document.addEventListener("submit", (event) => {
      if (/logout/.test(event.target.getAttribute("action") || "")) Draft.forgetAll();
    });
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.save({ keepalive: true }));
    window.addEventListener("online", () => this.save());
  }

  #read() {
    try {
      const local = JSON.parse(sessionStorage.getItem(this.key));
      return local?.data ? local : null;
    } catch {
      return null;
    }
  }

  #write() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ data: this.data, version: this.version, unsaved: this.unsaved }));
    } catch {
      // A full or forbidden store: the server's copy is the one that counts.
    }
  }

  #later(wait = WAIT) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), wait);
  }

  keep() {
    this.unsaved = true;
    this.#write();
    this.#later();
  }

  /** Saves what is not saved yet; one request at a time. */
  async save(options = {}) {
    clearTimeout(this.#timer);
    if (this.#sending) return this.#sending.then(() => this.save(options));
    if (!this.unsaved || this.conflict) return undefined;
    this.#sending = this.#send(options);
    await this.#sending;
    return undefined;
  }

  async #send(options) {
    const sent = JSON.stringify(this.data);
    this.failed = false;
    try {
      const answer = await ask(this.url, { version: this.version, data: JSON.parse(sent) }, { method: "PUT", ...options });
      this.version = answer.version;
      this.unsaved = JSON.stringify(this.data) !== sent;
      this.tell(`Draft saved at ${new Date(answer.saved_at).toLocaleTimeString("en-GB")}; not signed yet.`);
    } catch (trouble) {
      this.#failed(trouble);
    }
    this.#sending = null;
    this.#write();
    if (this.unsaved && !this.conflict) this.#later(this.failed ? AGAIN : WAIT);
  }

  #failed(trouble) {
    if (trouble.status === 409 && trouble.data) {
      this.conflict = trouble.data;
      this.differs(this.conflict);
      return;
    }
    this.failed = true;
    this.tell(trouble.status === 0 ? "No connection. Kept in this tab; it is saved when the connection is back." : `Not saved on the server: ${trouble.message}`);
  }

  /** The two ways out of a conflict. */
  keepMine() {
    this.version = this.conflict.version;
    this.conflict = null;
    this.keep();
  }

  takeOther() {
    Object.assign(this, { version: this.conflict.version, unsaved: false, conflict: null });
    sessionStorage.removeItem(this.key);
  }

  /** Waits for a request under way, so that none arrives after the signature. */
  async settle() {
    clearTimeout(this.#timer);
    await this.#sending;
    clearTimeout(this.#timer);
  }

  /** After signing: the server has forgotten it too. */
  forget() {
    clearTimeout(this.#timer);
    sessionStorage.removeItem(this.key);
    Object.assign(this, { found: false, unsaved: false, version: 0, conflict: null });
  }

  static forgetAll() {
    Object.keys(sessionStorage).filter((key) => key.startsWith("draft:")).forEach((key) => sessionStorage.removeItem(key));
  }
}
