// The report before it is signed, and what is added to it afterwards.
import { ask } from "./server.js";

const byId = (id) => document.getElementById(id);
const modal = (id) => window.bootstrap.Modal.getOrCreateInstance(byId(id));

export function reportDialogs({ api, doing, problem, isBusy, body, revision, added }) {
  byId("preview-report").addEventListener("click", () => {
    if (isBusy()) return undefined;
    const verdict = body();
    if (!verdict.cancer) return problem("Choose cancer: yes, no or uncertain. Then the report can be shown.");
    return doing(byId("preview-report"), async () => {
      const { report } = await ask(`${api}verdicts/preview/`, verdict);
      problem("");
      byId("preview-text").textContent = report;
      modal("preview-dialog").show();
    }, problem);
  });

  byId("add-addendum").addEventListener("click", () => modal("addendum-dialog").show());
  byId("addendum-dialog").addEventListener("shown.bs.modal", () => byId("addendum-text").focus());
  byId("addendum-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("addendum-text").value.trim();
    const tell = (words) => (byId("addendum-problem").textContent = words);
    if (!text) return tell("Write what is to be added.");
    if (isBusy()) return undefined;
    return doing(event.submitter, async () => {
      await ask(`${api}addenda/`, { revision: revision(), text });
      byId("addendum-text").value = "";
      tell("");
      modal("addendum-dialog").hide();
      window.showToast("The addendum is signed.", "success");
      await added();
    }, tell);
  });
}
