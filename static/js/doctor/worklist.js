// The worklist refreshes by itself without moving anything under the pointer; C claims the selected case.
(function () {
  "use strict";

  const live = document.querySelector("[data-worklist]");
  if (!live) return;
  let last = "";

  // ---------- Refreshing ----------
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== live && event.detail.elt !== live) return;
    event.detail.shouldSwap = false;
    const text = event.detail.xhr.responseText;
    if (event.detail.xhr.status !== 200 || text === last) return;
    last = text;
    const parts = new DOMParser().parseFromString(text, "text/html");
    if (!parts.querySelector('[data-part="worklist-table"]')) {
      // The answer is a page to log in: the session has ended.
      window.showToast("You are logged out. Log in again to go on; nothing that was saved is lost.", "error");
      live.removeAttribute("hx-trigger");
      return;
    }
    for (const part of parts.querySelectorAll("[data-part]")) {
      const here = document.getElementById(part.dataset.part);
      if (part.dataset.part === "worklist-table") refreshTable(here, part);
      else if (here.innerHTML !== part.innerHTML && !here.matches(":hover")) here.innerHTML = part.innerHTML;
    }
    document.dispatchEvent(new CustomEvent("htmx:afterSwap"));
  });

  const keyOf = (row) => row.dataset.key;
  const rowsIn = (root) => [...root.querySelectorAll("tbody tr")];

  /** Rows change in place. Their order changes only while nobody points at the table. */
  function refreshTable(here, fresh) {
    const present = rowsIn(here);
    const coming = rowsIn(fresh);
    const pointed = here.matches(":hover") || here.contains(document.activeElement);
    if (!present.length || !coming.length) {
      here.innerHTML = fresh.innerHTML;
      return;
    }
    const known = new Map(present.map((row) => [keyOf(row), row]));
    for (const row of coming) {
      const old = known.get(keyOf(row));
      if (old) refreshRow(old, row);
    }
    if (pointed) return showWaiting(coming.filter((row) => !known.has(keyOf(row))).length);
    const body = here.querySelector("tbody");
    const scroll = window.scrollY;
    body.replaceChildren(...coming.map((row) => known.get(keyOf(row)) || document.importNode(row, true)));
    window.scrollTo({ top: scroll, behavior: "instant" });
    showWaiting(0);
  }

  function refreshRow(old, row) {
    old.dataset.status = row.dataset.status;
    old.classList.toggle("unread", row.classList.contains("unread"));
    [...row.cells].forEach((cell, index) => {
      const was = old.cells[index];
      if (was && was.innerHTML !== cell.innerHTML && !sameTime(was, cell)) was.innerHTML = cell.innerHTML;
    });
  }

  /** Waiting times are counted in the browser; only another start or target is news. */
  function sameTime(was, cell) {
    const [a, b] = [was.querySelector("time"), cell.querySelector("time")];
    return a && b && a.dateTime === b.dateTime && a.dataset.targetMinutes === b.dataset.targetMinutes;
  }

  function showWaiting(count) {
    let note = document.getElementById("worklist-news");
    if (!count) {
      if (note) note.hidden = true;
      return;
    }
    if (!note) {
      note = document.createElement("p");
      note.id = "worklist-news";
      note.className = "worklist-news";
      note.setAttribute("role", "status");
      live.append(note);
    }
    note.hidden = false;
    note.textContent = `${count} new ${count === 1 ? "case comes" : "cases come"} in when the pointer leaves the list.`;
  }

  live.addEventListener("pointerleave", () => {
    last = "";
    refresh();
  });

  function refresh() {
    window.htmx?.trigger(live, "worklist-refresh");
  }

  // ---------- Giving cases to a doctor: ticks stay while the list refreshes ----------
  const ticked = new Set();
  const count = document.getElementById("assign-count");

  function showTicks() {
    if (!count) return;
    live.querySelectorAll("[data-assign]").forEach((box) => (box.checked = ticked.has(box.value)));
    count.textContent = live.querySelectorAll("[data-assign]:checked").length;
  }
  live.addEventListener("change", (event) => {
    if (!event.target.matches("[data-assign]")) return;
    if (event.target.checked) ticked.add(event.target.value);
    else ticked.delete(event.target.value);
    showTicks();
  });
  document.addEventListener("htmx:afterSwap", showTicks);

  // ---------- Claiming ----------
  async function claim(row) {
    if (row.dataset.status !== "sent") {
      window.showToast("Only a case that nobody reads yet can be claimed.", "info");
      return;
    }
    row.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${live.dataset.api}${row.dataset.key}/claim/`, {
        method: "POST",
        headers: { "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content },
      });
      const body = await answer.json().catch(() => ({}));
      if (answer.ok) window.showToast("The case is yours.", "success");
      else window.showToast(body.detail || "The case could not be claimed. Reload the page.", answer.status === 409 ? "warning" : "error");
    } catch {
      window.showToast("The server cannot be reached. The case was not claimed; try again.", "error");
    }
    row.removeAttribute("aria-busy");
    last = "";
    refresh();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, .modal")) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("worklist-search").focus();
    }
    if (event.key.toLowerCase() !== "c") return;
    const row = live.querySelector("tr.selected");
    if (row) claim(row);
    else window.showToast("Choose a case first: J and K move through the list.", "info");
  });
})();
