// Sets the theme before the first paint, so that a dark page never flashes white; and holds the
// shortcuts of one key as the profile says, before any other script hears of a key.
(function () {
  "use strict";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    const saved = root.dataset.themeSaved;
    if (saved && saved !== "auto") return saved;
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto";
    }
  }

  function apply() {
    const theme = chosen();
    // CT is read in a dark room, whatever the system's own setting is: there "auto" means dark.
    const auto = root.dataset.themeAuto || (dark.matches ? "dark" : "light");
    root.dataset.bsTheme = theme === "auto" ? auto : theme;
    document.querySelectorAll("[data-theme-choice]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
    });
  }

  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    if (root.dataset.themeSaved) keep(button.dataset.themeChoice);
    try {
      localStorage.setItem("theme", button.dataset.themeChoice);
    } catch {
      root.dataset.bsTheme = button.dataset.themeChoice;
    }
    apply();
  });

  // The profile keeps it for the next log-in; a lost request only means choosing it again.
  function keep(theme) {
    root.dataset.themeSaved = theme;
    const token = document.querySelector('meta[name="csrf-token"]')?.content || "";
    fetch("/accounts/profile/theme/", { method: "POST", headers: { "X-CSRFToken": token }, body: new URLSearchParams({ theme }) }).catch(() => {});
  }

  // ---------- Shortcuts: the key alone, with Alt, or none ----------
  const FIELD = "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";

  function held(event) {
    const mode = root.dataset.keys;
    if (!mode || !event.isTrusted || event.ctrlKey || event.metaKey || event.target.closest?.(FIELD)) return;
    const code = /^(?:Key|Digit)(\w)$/.exec(event.code);
    const key = code ? code[1].toLowerCase() : event.key;
    if (key.length !== 1 || key === " ") return;
    if (event.altKey && mode === "alt") {
      event.preventDefault();
      event.stopImmediatePropagation();
      event.target.dispatchEvent(new KeyboardEvent("keydown", { key, code: event.code, shiftKey: event.shiftKey, bubbles: true, cancelable: true }));
    } else if (!event.altKey) event.stopImmediatePropagation();
  }
  window.addEventListener("keydown", held, true);
})();
