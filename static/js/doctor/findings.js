// The list of findings: each with the AI's answer, the doctor's choice, and what to do where they differ.
import { button, checkLine, make, segmented, suspicion } from "./elements.js";

const LABELS = [["malignant", "Malignant"], ["benign", "Benign"], ["not_a_nodule", "Not a nodule"]];
export const WORDS = { malignant: "malignant", benign: "benign", not_a_nodule: "not a nodule" };
const REASONS = {
  benign: ["old granuloma", "scar", "calcified", "unchanged for years"],
  not_a_nodule: ["vessel", "scar", "pleura", "artefact"],
  malignant: ["growing", "spiculated", "known tumour"],
};

export class FindingList {
  #sections = new Map();
  #marks = new Map();

  constructor({ list, missedList, draft, changed, go, imageWords }) {
    Object.assign(this, { list, missedList, draft, changed, go, imageWords });
  }

  /** Shows the findings as they are now. What was typed into the ones that stay is not touched. */
  show(findings, state) {
    const ids = new Set(findings.map((one) => one.id));
    for (const [id, section] of this.#sections) {
      if (ids.has(id)) continue;
      section.root.remove();
      this.#sections.delete(id);
    }
    const nodes = [];
    let series = findings[0]?.series;
    for (const finding of findings) {
      if (finding.series !== series) {
        series = finding.series;
        nodes.push(make("h3", { class: "series-heading" }, `In ${finding.series_label}`));
      }
      nodes.push(this.#section(finding, state).root);
    }
    const same = nodes.length === this.list.children.length && nodes.every((node, at) => node === this.list.children[at]);
    if (!same) this.list.replaceChildren(...nodes);
    this.#showMissed(state);
  }

  select(id) {
    for (const [key, section] of [...this.#sections, ...this.#marks]) {
      section.root.classList.toggle("selected", key === id);
      if (key === id) section.root.scrollIntoView({ block: "nearest" });
    }
  }

  /** The words on each finding change when the viewer knows which image it is on. */
  relabel(findings) {
    for (const finding of findings) {
      const section = this.#sections.get(finding.id);
      if (section) section.title.textContent = this.imageWords(finding);
    }
    for (const mark of this.draft.data.missed) {
      const section = this.#marks.get(mark.key);
      if (section) section.title.textContent = this.imageWords(mark);
    }
  }

  #section(finding, state) {
    const known = this.#sections.get(finding.id);
    if (known && known.editable === state.can_read) {
      known.finding = finding;
      return known;
    }
    const section = { finding, editable: state.can_read, title: make("span", {}, this.imageWords(finding)) };
    const answer = this.draft.data.answers[finding.id];
    section.root = make("section", { class: "panel-section finding", "data-finding-id": finding.id, "data-source": finding.source },
      this.#head(finding, section.title),
      make("div", { class: "note" }, this.#facts(finding)),
      finding.reliability ? make("div", { class: "note" }, `AI: ${finding.reliability}`) : null,
      state.can_read ? segmented(`Your answer to finding ${finding.number}`, LABELS, answer?.label, (label) => this.#answer(section, label)) : this.#said(finding));
    section.box = make("div", { class: "disagree", hidden: true });
    section.root.append(section.box);
    section.root.addEventListener("click", (event) => {
      if (!event.target.closest("input, label, button, .disagree")) this.go(finding);
    });
    if (state.can_read && answer) this.#disagree(section, answer, state);
    this.#sections.set(finding.id, section);
    section.state = state;
    return section;
  }

  #head(finding, title) {
    const jump = make("button", { type: "button", class: "finding-jump" }, make("span", { class: "finding-number" }, String(finding.number)), title);
    jump.addEventListener("click", () => this.go(finding));
    const right = finding.source === "model"
      ? suspicion(finding.malignancy_probability, finding.step)
      : make("span", { class: "note" }, `marked by ${finding.author}`);
    return make("div", { class: "finding-head" }, jump, right);
  }

  #facts(finding) {
    const parts = [`${Math.round(finding.diameter_mm)} mm`];
    if (finding.nodule_probability !== null && finding.nodule_probability !== undefined) parts.push(`nodule ${finding.nodule_probability.toFixed(2)}`);
    if (finding.version) parts.push(`${finding.version}, malignant from ${finding.operating_point.toFixed(2)}`);
    return parts.join(" · ");
  }

  #said(finding) {
    return finding.label ? make("div", {}, `${finding.said_by}: `, make("b", {}, WORDS[finding.label])) : make("div", { class: "note" }, "Not answered yet");
  }

  #answer(section, label) {
    const before = this.draft.data.answers[section.finding.id] || {};
    const answer = { label, text: before.text || "", retrain: before.label === label ? before.retrain : true };
    this.draft.data.answers[section.finding.id] = answer;
    this.#disagree(section, answer, section.state);
    this.changed();
    this.go(section.finding);
  }

  #disagree(section, answer, state) {
    const { finding, box } = section;
    const differs = finding.disagrees[answer.label];
    box.hidden = !differs;
    if (!differs) return;
    const already = state?.sent_corrections.find((one) => one.finding === finding.id && one.label === answer.label);
    const why = make("input", { class: "input", type: "text", maxlength: 1000, "aria-label": "Why do you disagree?", placeholder: "Why? In your words" });
    why.value = answer.text || "";
    why.addEventListener("input", () => ((answer.text = why.value), this.changed()));
    const reasons = REASONS[answer.label].map((words) =>
      button(words, "btn-secondary btn-sm", () => {
        why.value = answer.text = words;
        this.changed();
      }));
    box.replaceChildren(
      make("b", {}, "You disagree with the AI here"),
      make("div", { class: "reasons", role: "group", "aria-label": "Common reasons" }, ...reasons), why,
      already
        ? make("div", { class: "note" }, `Already sent for retraining as “${WORDS[answer.label]}” (${already.status}).`)
        : checkLine(`Send for retraining as “${WORDS[answer.label]}”`, answer.retrain !== false, (on) => ((answer.retrain = on), this.changed())));
    if (already) answer.retrain = false;
  }

  // ---------- Nodules that the AI missed ----------
  #showMissed(state) {
    const marks = state.can_read ? this.draft.data.missed : [];
    const keys = new Set(marks.map((mark) => mark.key));
    for (const [key, section] of this.#marks) {
      if (keys.has(key)) continue;
      section.root.remove();
      this.#marks.delete(key);
    }
    marks.forEach((mark) => {
      if (this.#marks.has(mark.key)) return;
      const section = this.#markSection(mark);
      this.#marks.set(mark.key, section);
      this.missedList.append(section.root);
    });
    marks.forEach((mark, at) => (this.#marks.get(mark.key).number.textContent = String(mark.number = state.next_number + at)));
  }

  #markSection(mark) {
    const title = make("span", {}, this.imageWords(mark));
    const number = make("span", { class: "finding-number" });
    const jump = make("button", { type: "button", class: "finding-jump" }, number, title);
    jump.addEventListener("click", () => this.go(mark));
    const size = make("input", { class: "input num", type: "number", min: 0.5, max: 300, step: 0.5, "aria-label": "Long axis in mm" });
    size.value = mark.diameter_mm;
    size.addEventListener("input", () => {
      mark.diameter_mm = Number.isFinite(size.valueAsNumber) ? size.valueAsNumber : null;
      this.changed();
    });
    const root = make("section", { class: "panel-section finding", "data-source": "doctor", "data-mark": mark.key },
      make("div", { class: "finding-head" }, jump, make("span", { class: "note" }, "your mark")),
      make("label", { class: "own-mark-size" }, "Long axis", size, "mm"),
      segmented("Your answer to this mark", LABELS.slice(0, 2), mark.label, (label) => ((mark.label = label), this.changed())),
      make("div", { class: "disagree" },
        checkLine("Send for retraining as missed by the AI", mark.retrain, (on) => ((mark.retrain = on), this.changed())),
        make("div", { class: "actions-row" }, button("Remove this mark", "btn-quiet btn-sm", () => this.#remove(mark)))));
    return { root, title, number };
  }

  #remove(mark) {
    this.draft.data.missed = this.draft.data.missed.filter((one) => one !== mark);
    this.changed(true);
  }
}
