// The table of attributes: search as you type, another image, the image that the viewer shows.
(function () {
  "use strict";

  function filter(input) {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const box = input.closest("#tags");
    const rows = [...box.querySelectorAll("[data-tags-rows] tr")];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    const count = box.querySelector("[data-tags-count]");
    if (count) count.textContent = words.length ? `${shown} of ${rows.length} attributes` : `${rows.length} attributes`;
  }

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-tags-search]")) filter(event.target);
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-tags-instance]")) return;
    const words = document.querySelector("[data-tags-search]")?.value || "";
    window.htmx.ajax("GET", event.target.value, { target: "#tags", swap: "innerHTML" }).then(() => {
      const search = document.querySelector("[data-tags-search]");
      search.value = words;
      filter(search);
    });
  });

  // What was asked of the AI shows at once.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.matches("[data-refresh-state]")) window.htmx.trigger("#case-state", "refresh");
  });

  // "All tags" opens on the image that is on screen.
  const button = document.querySelector("[data-tags-url]");
  document.addEventListener("ct-slice", (event) => {
    const id = event.detail?.instance_id;
    if (!button || !id) return;
    button.setAttribute("hx-get", button.dataset.tagsUrl.replace(/instances\/[^/]+\//, `instances/${id}/`));
    window.htmx?.process(button);
  });
})();
