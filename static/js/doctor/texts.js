// What helps to write: a coded diagnosis as one more line, and texts to begin with.
import { ask } from "./server.js";

const byId = (id) => document.getElementById(id);
const toast = (words, kind) => window.showToast(words, kind);

export function textTools({ root, form, changed }) {
  const builtIn = JSON.parse(byId("built-in-texts").textContent);
  const choice = byId("text-template");
  let own = [];

  function list() {
    const group = (label, entries) => {
      const node = document.createElement("optgroup");
      node.label = label;
      node.append(...entries.map(([value, words]) => new Option(words, value)));
      return node;
    };
    const groups = [group("For everybody", Object.keys(builtIn).map((name) => [`all:${name}`, name]))];
    if (own.length) groups.unshift(group("Mine", own.map((one) => [`own:${one.public_id}`, one.name])));
    choice.replaceChildren(new Option("Begin with a text…", ""), ...groups);
    byId("delete-template").hidden = true;
  }

  const chosenOwn = () => own.find((one) => `own:${one.public_id}` === choice.value);

  async function fetchOwn() {
    try {
      own = (await ask(root.templates)).results;
    } catch {
      own = [];
    }
    list();
  }

  /** Put where the cursor is not in the way: what is written already stays. */
  choice.addEventListener("change", () => {
    const words = chosenOwn()?.text ?? builtIn[choice.value.slice(4)];
    byId("delete-template").hidden = !chosenOwn();
    if (!words) return;
    const text = form.elements.text;
    text.value = text.value.trim() ? `${text.value.trimEnd()}\n${words}` : words;
    changed();
    text.focus();
  });

  byId("save-template").addEventListener("click", async () => {
    const text = form.elements.text.value.trim();
    if (!text) return toast("Write the text first.", "info");
    const name = window.prompt("Name of this text (no patient's name, please):");
    if (!name?.trim()) return undefined;
    try {
      await ask(root.templates, { name: name.trim(), text });
      await fetchOwn();
      return toast("Saved among your texts.", "success");
    } catch (trouble) {
      return toast(trouble.message, "error");
    }
  });

  byId("delete-template").addEventListener("click", async () => {
    const one = chosenOwn();
    if (!one || !window.confirm(`Delete your text “${one.name}”?`)) return;
    try {
      await ask(`${root.templates}${one.public_id}/`, {}, { method: "DELETE" });
    } catch (trouble) {
      toast(trouble.message, "error");
    }
    await fetchOwn();
  });

  const coded = byId("coded-diagnosis");
  const known = new Set([...byId("coded-diagnoses").options].map((one) => one.value));
  function take() {
    const line = coded.value.trim();
    if (!line) return;
    const lines = form.elements.diagnoses.value.split("\n").filter((one) => one.trim());
    if (!lines.includes(line)) lines.push(line);
    form.elements.diagnoses.value = lines.join("\n");
    coded.value = "";
    changed();
  }
  coded.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    take();
  });
  coded.addEventListener("input", () => known.has(coded.value) && take());
  fetchOwn();
}
