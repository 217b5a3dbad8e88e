// Talking to the server: every answer becomes data, or an error with words for the doctor.

export class Refused extends Error {
  constructor(message, status, data = null) {
    super(message);
    this.status = status;
    this.data = data;
  }
}

const WORDS = {
  401: "You are logged out. What you typed is kept in this tab: log in again in another tab, then repeat the step.",
  403: "You may not do this, or you were logged out. What you typed is kept in this tab.",
  404: "This case is no longer yours to see. What you typed is kept in this tab.",
  429: "Too many requests in a short time. Wait a minute and try again.",
};

/** GET without a body, else POST; `more` goes to fetch. */
export async function ask(url, body, more = {}) {
  const options = { headers: { Accept: "application/json" }, ...more };
  if (body !== undefined) {
    options.method = more.method || "POST";
    options.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]').content;
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Refused("The server cannot be reached. What you typed is kept in this tab; try again when the connection is back.", 0);
  }
  if (response.status === 204) return null;
  const data = await response.json().catch(() => null);
  if (response.ok && data && !response.redirected) return data;
  throw new Refused(wordsFor(response, data), response.redirected ? 401 : response.status, data);
}

function wordsFor(response, data) {
  if (response.redirected) return WORDS[401];
  if (response.status === 409 || response.status === 403) return data?.detail || WORDS[response.status];
  if (response.status === 400 && data) return sentences(data).join(" ");
  return WORDS[response.status] || `The server could not do this (${response.status}). What you typed is kept in this tab; try again.`;
}

function sentences(problem) {
  if (typeof problem === "string") return [problem];
  return Object.values(problem).flatMap(sentences);
}
