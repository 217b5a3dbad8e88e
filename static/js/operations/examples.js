// Keys of the retrain queue: j and k move, a accepts, r asks for the reason and rejects,
// o asks for a second opinion, u takes back.
(function () {
  "use strict";
  const cards = () => [...document.querySelectorAll("[data-example]")];
  let at = -1;

  function select(index) {
    const all = cards();
    if (!all.length) return;
    at = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((card, i) => card.classList.toggle("selected", i === at));
    all[at].focus({ preventScroll: true });
    all[at].scrollIntoView({ block: "nearest" });
  }

  function press(name) {
    const button = cards()[at]?.querySelector(`[data-key="${name}"]`);
    if (button) button.click();
  }

  function typing(target) {
    return target.closest?.("input, textarea, select");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !cards().length) return;
    if (typing(event.target)) {
      const card = event.target.closest("[data-example]");
      if (event.key === "Enter" && card) {
        event.preventDefault();
        card.querySelector('[data-key="reject"]').click();
      } else if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") select(at + 1);
    else if (event.key === "k") select(at - 1);
    else if (event.key === "a") press("accept");
    else if (event.key === "o") press("opinion");
    else if (event.key === "u") press("reopen");
    else if (event.key === "r" && at >= 0) cards()[at].querySelector('input[name="note"]')?.focus();
    else return;
    event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const card = event.target.closest?.("[data-example]");
    if (card) at = cards().indexOf(card);
  });

  // After a decision the next card that waits is the one to look at.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!event.detail.target?.matches?.("[data-example]") && at < 0) return;
    const all = cards();
    const next = all.findIndex((card, i) => i >= at && card.querySelector('[data-key="accept"]'));
    if (next >= 0) select(next);
  });
})();
