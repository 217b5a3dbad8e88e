// Keeps the chosen view on the server, quietly; a failure is said and tried again.
import { fetchOrExplain } from "./manifest.js";

const PAUSE_MS = 800;
const RETRY_MS = 10000;

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content || document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] || "";
}

/** The server's answer as data; what is written arrives though the page is left. Raises ViewerError with `status`, and `words` where the server says why. */
export async function ask(url, method = "GET", body = undefined) {
  const headers = { Accept: "application/json", ...(method !== "GET" && { "X-CSRFToken": csrfToken() }), ...(body && { "Content-Type": "application/json" }) };
  const response = await fetchOrExplain(url, { method, headers, keepalive: method !== "GET", body: body && JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

export class Saving {
  #timer;
  #pending = null;

  constructor(url, say, saved) {
    Object.assign(this, { url, say, saved });
    window.addEventListener("pagehide", () => this.#send(true));
  }

  change(presentation) {
    if (!this.url) return;
    this.#pending = presentation;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), PAUSE_MS);
  }

  async #send(leaving = false) {
    const body = this.#pending;
    if (!body) return;
    clearTimeout(this.#timer);
    this.#pending = null;
    try {
      await fetchOrExplain(this.url, {
        method: "PUT", keepalive: leaving, body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() },
      });
      this.say("View saved", "");
      this.saved(body);
    } catch (problem) {
      const final = [400, 401, 403, 404].includes(problem.status);
      this.say(final ? "View not saved: you may look at it, but not keep it." : "View not saved yet. It is kept here and tried again.", "warn");
      this.#pending ??= body;
      if (!final) this.#timer = setTimeout(() => this.#send(), RETRY_MS);
      else this.#pending = null;
    }
  }
}
