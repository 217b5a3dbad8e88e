// What every page shares: CSRF for htmx, messages for failed requests, keys in lists, waiting times, folding panels.
(function () {
  "use strict";

  const sprite = document.querySelector('meta[name="icon-sprite"]')?.content || "";

  // ---------- CSRF ----------
  function csrfToken() {
    return document.querySelector('meta[name="csrf-token"]')?.content || "";
  }

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRFToken"] = csrfToken();
    // News that a page fetches by itself must not keep a forgotten log-in alive.
    if (isPolling(event.detail.elt) && event.detail.verb === "get") event.detail.headers["X-By-Itself"] = "1";
  });

  // ---------- Toasts ----------
  const ICONS = { success: "check-circle-fill", info: "info-circle-fill", warning: "exclamation-triangle-fill", error: "exclamation-octagon-fill" };

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${sprite}#${name}`);
    svg.append(use);
    return svg;
  }

  function toast(text, kind = "info") {
    const box = document.querySelector(".toasts");
    if (!box) return;
    const message = document.createElement("div");
    message.className = `message message-${kind}`;
    message.setAttribute("role", kind === "error" ? "alert" : "status");
    const words = document.createElement("p");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.setAttribute("aria-label", "Close this message");
    close.addEventListener("click", () => message.remove());
    message.append(icon(ICONS[kind] || ICONS.info), words, close);
    box.append(message);
    // An error stays until it is read; the rest leaves by itself.
    if (kind !== "error") setTimeout(() => message.remove(), 6000);
  }
  window.showToast = toast;
  document.addEventListener("show-toast", (event) => toast(event.detail.text || event.detail.value, event.detail.kind));

  // ---------- Failed htmx requests: what happened, what was kept, what to do ----------
  const SAVED = "What was saved before is kept.";
  const REASONS = {
    401: `You are logged out. ${SAVED} Log in again, then repeat the last step.`,
    403: `You may not do this, or you were logged out. Nothing was changed. ${SAVED} Reload the page and try again.`,
    404: `This is no longer here, or it is not yours to see. Nothing was changed. Reload the page.`,
    409: `Somebody else was faster. Nothing of yours was overwritten. Reload the page to see the present state.`,
    413: `This is too large to send at once. Nothing was stored. Send it in smaller parts.`,
    429: `Too many requests in a short time. ${SAVED} Wait a minute and try again.`,
    503: `The server is busy or being updated. ${SAVED} Try again in a minute.`,
  };

  function isPolling(element) {
    return /every\s/.test(element?.getAttribute?.("hx-trigger") || "");
  }

  let loggedOut = false;
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr, elt } = event.detail;
    if (isPolling(elt) && xhr.status === 401) {
      if (loggedOut) return;
      loggedOut = true; // said once, not at every look for news
    } else if (isPolling(elt)) return setConnection(false);
    const plain = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    const words = plain && xhr.responseText.length < 400 ? xhr.responseText : "";
    toast(words || REASONS[xhr.status] || `The server could not do this (${xhr.status}). ${SAVED} Try again; if it happens twice, tell your admin.`, "error");
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (isPolling(event.detail.elt)) return setConnection(false);
    toast(`The server cannot be reached. ${SAVED} Your last step was not sent: repeat it when the connection is back.`, "error");
  });
  document.addEventListener("htmx:timeout", () => {
    toast(`The server took too long to answer. The last step may or may not be done: reload the page before you repeat it.`, "error");
  });
  document.addEventListener("htmx:afterOnLoad", () => setConnection(true));

  function setConnection(up) {
    const lost = document.querySelector("[data-connection-lost]");
    if (lost) lost.hidden = up;
  }
  window.addEventListener("offline", () => setConnection(false));
  window.addEventListener("online", () => setConnection(true));

  // ---------- Keys in lists ----------
  function typing(target) {
    return target.closest?.("input, textarea, select, [contenteditable], .modal, .offcanvas.show");
  }

  function rowsOf(table) {
    return [...table.querySelectorAll("tbody tr[data-href], tbody tr:has(a[href])")].filter((row) => !row.hidden);
  }

  function select(table, row) {
    table.querySelectorAll("tr.selected").forEach((other) => other.classList.remove("selected"));
    row.classList.add("selected");
    row.scrollIntoView({ block: "nearest" });
    table.dataset.selected = row.dataset.key || row.dataset.href || row.id || "";
  }

  function open(row) {
    if (row.dataset.href) location.assign(row.dataset.href);
    else row.querySelector("a[href]")?.click();
  }

  document.addEventListener("keydown", (event) => {
    const table = document.querySelector("table[data-keynav], [data-keynav] table");
    if (!table || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const rows = rowsOf(table);
    const at = rows.findIndex((row) => row.classList.contains("selected"));
    if (event.key === "j" && rows.length) select(table, rows[Math.min(at + 1, rows.length - 1)]);
    else if (event.key === "k" && rows.length) select(table, rows[Math.max(at - 1, 0)]);
    else if (event.key === "Enter" && at >= 0 && !event.target.closest("a, button")) open(rows[at]);
    else return;
    event.preventDefault();
  });

  // Any element with data-shortcut is pressed by its key.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
    const target = document.querySelector(`[data-shortcut="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!target || target.disabled) return;
    event.preventDefault();
    target.click();
  });

  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-href]");
    if (!row || event.target.closest("a, button, input, label, summary") || String(getSelection())) return;
    open(row);
  });

  // A refreshed table keeps its selected row.
  document.addEventListener("htmx:afterSwap", () => {
    document.querySelectorAll("table[data-keynav][data-selected]").forEach((table) => {
      const row = rowsOf(table).find((r) => (r.dataset.key || r.dataset.href || r.id) === table.dataset.selected);
      if (row && !row.classList.contains("selected")) select(table, row);
    });
    waitingTimes();
  });

  // ---------- Waiting times: amber from three quarters of the target, red after it, always in words ----------
  function spell(minutes) {
    if (minutes < 1) return "just now";
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
    return `${Math.floor(hours / 24)} days`;
  }

  function waitingTimes() {
    document.querySelectorAll("time.wait[datetime]").forEach((element) => {
      const minutes = Math.max(0, Math.floor((Date.now() - Date.parse(element.dateTime)) / 60000));
      if (Number.isNaN(minutes)) return;
      const target = Number(element.dataset.targetMinutes) || Infinity;
      const late = minutes > target;
      element.textContent = spell(minutes) + (late ? `, over ${spell(target)}` : "");
      element.classList.toggle("wait-late", late);
      element.classList.toggle("wait-soon", !late && minutes >= target * 0.75);
    });
  }
  document.addEventListener("DOMContentLoaded", waitingTimes);
  setInterval(waitingTimes, 30000);

  // ---------- Small manners ----------
  document.addEventListener("click", (event) => {
    const dismiss = event.target.closest("[data-dismiss-message]");
    if (dismiss) dismiss.closest(".message, .notice").remove();

    const fold = event.target.closest("[data-fold]");
    if (fold) {
      const folded = document.body.classList.toggle(`fold-${fold.dataset.fold}`);
      fold.setAttribute("aria-expanded", String(!folded));
      window.dispatchEvent(new Event("resize"));
    }

    if (event.target.closest("[data-print]")) window.print();
  });

  // A second click on a form button does not send the form twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-allow-resubmit]") || event.defaultPrevented) return;
    const confirmText = form.dataset.confirm || event.submitter?.dataset.confirm;
    if (confirmText && !window.confirm(confirmText)) return event.preventDefault();
    if (form.matches("[hx-post], [hx-put], [hx-delete]") || form.getAttribute("method") !== "post" || form.getAttribute("target")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    setTimeout(() => form.querySelectorAll("button[type=submit], button:not([type])").forEach((b) => (b.disabled = true)));
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach((b) => (b.disabled = false));
    });
  });
})();
