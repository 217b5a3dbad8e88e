// The list refreshes by itself, but never moves what is under the pointer or under the keyboard.
(function () {
  "use strict";

  let pending = null;

  function list() {
    return document.getElementById("cases");
  }

  function inUse() {
    const now = list();
    return now.matches(":hover") || now.contains(document.activeElement);
  }

  // What may change in place: cells of rows that are on screen anyway, and the counts.
  function updateInPlace(fresh) {
    for (const row of list().querySelectorAll("tr[data-key]")) {
      const other = fresh.querySelector(`tr[data-key="${CSS.escape(row.dataset.key)}"]`);
      if (!other) continue;
      for (const cell of row.querySelectorAll("[data-cell]")) {
        const new_ = other.querySelector(`[data-cell="${cell.dataset.cell}"]`);
        if (new_ && new_.innerHTML !== cell.innerHTML) cell.innerHTML = new_.innerHTML;
      }
    }
    for (const count of list().querySelectorAll("[data-count]")) {
      const new_ = fresh.querySelector(`[data-count="${count.dataset.count}"]`);
      if (new_) count.textContent = new_.textContent;
    }
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "cases" || event.detail.xhr.status !== 200) return;
    if (!inUse()) {
      pending = null;
      return;
    }
    event.detail.shouldSwap = false;
    pending = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html").getElementById("cases");
    if (pending) updateInPlace(pending);
  });

  function applyPending() {
    if (!pending || inUse()) return;
    const fresh = document.importNode(pending, true);
    pending = null;
    list().replaceWith(fresh);
    window.htmx.process(fresh);
    document.dispatchEvent(new CustomEvent("htmx:afterSwap"));
  }

  document.addEventListener("pointermove", applyPending, { passive: true });
  document.addEventListener("focusout", () => setTimeout(applyPending));
})();
