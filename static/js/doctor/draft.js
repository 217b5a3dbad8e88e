// What the doctor has filled in and not signed yet, kept in this tab so that a lost connection or a
// reload loses nothing. Keyed by user and case; it holds no patient's name, and goes at sign and log-out.

const EMPTY = { cancer: "", diagnoses: "", text: "", answers: {}, missed: [] };

export class Draft {
  constructor(user, caseId) {
    this.key = `draft:${user}:${caseId}`;
    this.found = this.#read();
    this.data = { ...structuredClone(EMPTY), ...(this.found || {}) };
    document.addEventListener("submit", (event) => {
      if (/logout/.test(event.target.getAttribute("action") || "")) Draft.forgetAll();
    });
  }

  #read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  keep() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify(this.data));
      return true;
    } catch {
      return false;
    }
  }

  forget() {
    sessionStorage.removeItem(this.key);
    this.found = null;
  }

  static forgetAll() {
    Object.keys(sessionStorage).filter((key) => key.startsWith("draft:")).forEach((key) => sessionStorage.removeItem(key));
  }
}
