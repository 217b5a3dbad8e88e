// The structured form: nodules as the doctor describes them; the server calculates growth and Lung-RADS.
import { button, make } from "./elements.js";
import { ask } from "./server.js";

const byId = (id) => document.getElementById(id);
const WAIT = 350;
const EMPTY = { label: "", place: "unknown", kind: "solid", long_mm: null, short_mm: null, solid_mm: null, behaviour: "", earlier: "", suspicious: false, before_mm: null, before_date: null };
const KEPT = Object.keys(EMPTY);
const signed = (value) => `${value > 0 ? "+" : ""}${value}`.replace("-", "−");

export class NoduleForm {
  #choices = JSON.parse(byId("nodule-choices").textContent);
  #before = JSON.parse(byId("nodules-before").textContent);
  #timer = 0;
  #asked = 0;
  #rows = [];
  #calculated = "";
  #offered = "";

  constructor({ draft, changed, url }) {
    Object.assign(this, { draft, changed, url });
    byId("lung-rads-own").append(new Option("as calculated", ""), ...this.#choices.categories.map((name) => new Option(name, name)));
    byId("add-nodule").addEventListener("click", () => this.#add({}));
    byId("lungs-incomplete").addEventListener("change", (event) => this.#set({ incomplete: event.target.checked }));
    byId("lung-rads-own").addEventListener("change", (event) => this.#set({ lung_rads: event.target.value }));
    byId("lung-rads-reason").addEventListener("input", (event) => this.#set({ lung_rads_reason: event.target.value }));
  }

  /** Shows what the draft, or the newest verdict, holds. */
  fill() {
    const { data } = this.draft;
    data.nodules = data.nodules.map((one) => Object.fromEntries(KEPT.map((name) => [name, one[name] ?? EMPTY[name]])));
    byId("lungs-incomplete").checked = data.incomplete;
    byId("lung-rads-own").value = data.lung_rads;
    byId("lung-rads-reason").value = data.lung_rads_reason;
    byId("structured").open = this.#used();
    this.#draw();
  }

  #used() {
    const { nodules, incomplete, lung_rads } = this.draft.data;
    return Boolean(nodules.length || incomplete || lung_rads);
  }

  /** What goes with the verdict. */
  body() {
    const { nodules, incomplete, lung_rads, lung_rads_reason } = this.draft.data;
    return { nodules: nodules.filter(complete), incomplete, lung_rads, lung_rads_reason };
  }

  /** Findings whose size may be the beginning of a row. */
  offer(findings) {
    const text = JSON.stringify(findings.map((one) => [one.number, one.diameter_mm]));
    if (text === this.#offered) return;
    this.#offered = text;
    byId("nodule-sources").replaceChildren(...findings.slice(0, 8).map((one) => {
      const size = Math.round(one.diameter_mm * 10) / 10;
      return button(`Finding ${one.number}, ${Math.round(size)} mm`, "btn-quiet btn-sm", () => this.#add({ label: `Finding ${one.number}`, long_mm: size, short_mm: size }));
    }));
  }

  #add(known) {
    this.draft.data.nodules.push({ ...EMPTY, ...known });
    this.#draw();
    this.changed();
    this.#rows.at(-1).querySelector("select").focus();
  }

  #set(values) {
    Object.assign(this.draft.data, values);
    this.#calculate();
    this.changed();
  }

  #draw() {
    this.#rows = this.draft.data.nodules.map((nodule, at) => this.#row(nodule, at));
    byId("nodule-rows").replaceChildren(...this.#rows);
    this.#calculate();
  }

  #row(nodule, at) {
    const put = (name, value) => {
      nodule[name] = value;
      if (name === "kind") row.dataset.kind = value;
      this.#calculate();
      this.changed();
    };
    const name = nodule.label || `Nodule ${at + 1}`;
    const pick = (key, label, entries) => field(label, select(entries, nodule[key], (value) => put(key, value)));
    const size = (key, label) => field(label, number(nodule[key], (value) => put(key, value)));
    const remove = button("Remove", "btn-quiet btn-sm", () => {
      this.draft.data.nodules.splice(at, 1);
      this.#draw();
      this.changed();
    });
    remove.setAttribute("aria-label", `Remove ${name}`);
    const row = make("fieldset", { class: "nodule", "data-kind": nodule.kind },
      make("legend", {}, name, " ", remove),
      make("div", { class: "nodule-fields" },
        pick("place", "Place", Object.entries(this.#choices.places)),
        pick("kind", "Type", Object.entries(this.#choices.kinds)),
        size("long_mm", "Long axis, mm"), size("short_mm", "Short axis, mm"),
        make("div", { class: "nodule-solid" }, size("solid_mm", "Solid part, mm")),
        pick("behaviour", "Since the last CT", [["", "from the earlier size"], ...Object.entries(this.#choices.behaviours)])),
      this.#earlier(nodule, put),
      check("Spiculation, enlarged nodes or the like (4X)", nodule.suspicious, (on) => put("suspicious", on)),
      make("p", { class: "nodule-answer", role: "status" }));
    return row;
  }

  /** The size at an earlier CT, typed or taken over from its report. */
  #earlier(nodule, put) {
    const mm = number(nodule.before_mm, (value) => put("before_mm", value));
    const date = make("input", { class: "input", type: "date" });
    date.value = nodule.before_date || "";
    date.addEventListener("input", () => put("before_date", date.value || null));
    const earlier = select([["", "none"], ...this.#choices.categories.map((one) => [one, one])], nodule.earlier, (value) => put("earlier", value));
    const box = make("details", { class: "nodule-before", open: Boolean(nodule.before_mm) }, make("summary", {}, "Compare with an earlier CT"));
    if (this.#before.length) {
      const words = (one) => `${one.date}: ${one.label || this.#choices.places[one.place]}, ${this.#choices.kinds[one.kind]}, ${one.mean_mm} mm, ${one.category}`;
      const from = select([["", "choose…"], ...this.#before.map((one, index) => [String(index), words(one)])], "", (index) => {
        const one = this.#before[Number(index)];
        if (!one || index === "") return;
        mm.value = one.mean_mm;
        date.value = one.date;
        earlier.value = one.category;
        Object.assign(nodule, { before_mm: one.mean_mm, before_date: one.date, earlier: one.category });
        put("before_mm", one.mean_mm);
      });
      box.append(field("From an earlier report", from));
    }
    box.append(make("div", { class: "nodule-fields" }, field("Mean diameter then, mm", mm), field("Date of that CT", date), field("Category then", earlier)));
    return box;
  }

  // ---------- The category, calculated by the server ----------
  #calculate() {
    clearTimeout(this.#timer);
    const { lung_rads } = this.draft.data;
    byId("lung-rads-why").hidden = !lung_rads || lung_rads === this.#calculated;
    this.#timer = setTimeout(() => this.#fetch(), WAIT);
  }

  async #fetch() {
    const turn = (this.#asked += 1);
    const { nodules, incomplete } = this.draft.data;
    if (!nodules.length && !incomplete && !this.draft.data.lung_rads) return this.#show(null, []);
    try {
      const found = await ask(this.url, { nodules: nodules.filter(complete), incomplete });
      if (turn === this.#asked) this.#show(found, nodules);
    } catch (trouble) {
      if (turn === this.#asked) byId("lung-rads").replaceChildren(make("span", { class: "bad" }, trouble.message));
    }
    return undefined;
  }

  #show(found, nodules) {
    const answers = [...(found?.nodules || [])];
    nodules.forEach((nodule, at) => {
      const box = this.#rows[at]?.querySelector(".nodule-answer");
      if (!box) return;
      const one = complete(nodule) ? answers.shift() : null;
      box.replaceChildren(...(one ? answerOf(one) : [make("span", { class: "note" }, "Both axes give its category.")]));
    });
    this.#calculated = found?.category || "";
    byId("lung-rads").replaceChildren(...(found ? [make("b", {}, `Lung-RADS ${found.category}`), ` ${found.rule}`] : []));
    byId("structured-summary").textContent = found ? `${nodules.length} described, Lung-RADS ${this.draft.data.lung_rads || found.category}` : "";
    const { lung_rads } = this.draft.data;
    byId("lung-rads-why").hidden = !lung_rads || lung_rads === this.#calculated;
  }
}

function complete(nodule) {
  return nodule.long_mm > 0 && nodule.short_mm > 0;
}

function answerOf(one) {
  const grown = one.growth;
  const words = grown ? `${signed(grown.change_mm)} mm (${signed(grown.change_percent)} %) in ${grown.days} days${grown.doubling_days ? `, volume doubling time ${grown.doubling_days} days` : ""}. ` : "";
  return [make("b", {}, one.category), ` Mean ${one.mean_mm} mm. ${words}${one.rule}`];
}

let numbers = 0;

function field(label, control) {
  control.id ||= `nodule-field-${(numbers += 1)}`;
  return make("div", { class: "nodule-field" }, make("label", { for: control.id }, label), control);
}

function select(entries, chosen, onChoose) {
  const node = make("select", { class: "input" });
  node.append(...entries.map(([value, words]) => new Option(words, value)));
  node.value = chosen;
  node.addEventListener("change", () => onChoose(node.value));
  return node;
}

function number(value, onChange) {
  const node = make("input", { class: "input", type: "number", min: "0.5", max: "300", step: "0.1", inputmode: "decimal" });
  node.value = value ?? "";
  node.addEventListener("input", () => onChange(node.value === "" ? null : Number(node.value)));
  return node;
}

function check(words, on, onChange) {
  const input = make("input", { type: "checkbox" });
  input.checked = on;
  input.addEventListener("change", () => onChange(input.checked));
  return make("label", { class: "check-line" }, input, make("span", {}, words));
}
