// The reading page: keeps the case's state fresh, ties findings to the images, and signs the verdict.
import { factLines, stateBox } from "./ai_state.js";
import { Draft } from "./draft.js";
import { button, icon, make, notice } from "./elements.js";
import { FindingList } from "./findings.js";
import { NoduleForm } from "./nodule_form.js";
import { Places } from "./places.js";
import "./priors.js";
import { reportDialogs } from "./report_dialogs.js";
import { ask } from "./server.js";
import { textTools } from "./texts.js";

const byId = (id) => document.getElementById(id);
const root = byId("case-root").dataset;
const QUICK = 700;
const SLOW = 8000;

let state = JSON.parse(byId("case-state-data").textContent);
let series = document.querySelector("[data-series][aria-current]")?.dataset.series;
let busy = false;
let dirty = false;
let timer = 0;
let historyOf = -1;
let goal = null;

const draft = new Draft({
  user: root.user, caseId: root.case, url: `${root.api}draft/`, kept: JSON.parse(byId("draft-data").textContent),
  tell: (words) => (byId("draft-kept").textContent = words), differs: showConflict,
});
const form = byId("verdict-form");
const list = new FindingList({
  list: byId("finding-list"), missedList: byId("missed-list"), draft, changed, go: goTo, imageWords,
});
const nodules = new NoduleForm({ draft, changed, url: `${root.api}lung-rads/` });
const places = new Places({ url: `${root.api}places/`, redraw: () => showOnImages(), go: goTo, mark: markPlace });
const viewer = () => document.querySelector("ct-viewer:not([data-prior])");

// ---------- Showing the state ----------
const show = (id, on) => (byId(id).hidden = !on);

function render() {
  const here = byId("case-state");
  here.textContent = state.status_label;
  here.className = `state state-${state.status}`;
  byId("case-with").textContent = holdWords();
  if (byId("case-waiting")) show("case-waiting", state.status === "sent" || state.status === "in_review");
  adoptAnswers();
  byId("finding-count").textContent = state.findings.length + draft.data.missed.length;
  list.show(state.findings, state);
  replaceIfNew(byId("ai-state"), stateBox(state, actions));
  replaceIfNew(byId("ai-facts"), factLines(state, actions));
  showLate();
  showSteps();
  showOnImages();
}

function holdWords() {
  const who = state.mine ? "you" : state.with_whom;
  if (state.status === "reported") return `Reported by ${who}.`;
  if (state.status === "in_review") return state.mine ? "This case is with you." : `${who} is reading this case.`;
  if (state.status === "sent" && state.stage !== "first") return `Waits for the ${state.stage_label}.`;
  return state.status === "sent" ? "Nobody reads this case yet." : `This case is ${state.status_label}.`;
}

/** Replaces only what says something else, so that an open detail or a focused button stays. */
function replaceIfNew(box, nodes) {
  const html = nodes.map((node) => node.outerHTML).join("");
  if (box.dataset.shown === html) return;
  box.dataset.shown = html;
  box.replaceChildren(...nodes);
}

function showLate() {
  const box = byId("late-images");
  box.hidden = !state.late;
  if (!state.late) return;
  const words = state.late.after_verdict
    ? `Images came after the verdict, at ${state.late.at}. The verdict does not know them: look again, and correct it if needed.`
    : `Images came after the case was sent, at ${state.late.at}. Reload the page to see them.`;
  if (box.textContent !== words) box.replaceChildren(icon("exclamation-triangle-fill"), make("span", {}, words));
}

function showSteps() {
  const open = state.status === "sent" || state.status === "in_review";
  const theirs = Boolean(state.with_whom) && !state.mine;
  const reportedBefore = state.status === "reported";
  const may = state.can_read && (!theirs || reportedBefore);
  const onVerdict = !byId("pane-verdict").hidden;
  const reported = state.status === "reported";
  show("return-case", may && open);
  show("claim-case", state.can_read && state.status === "sent");
  show("release-case", state.can_read && state.status === "in_review" && state.mine);
  show("take-over-case", state.can_read && state.status === "in_review" && theirs);
  show("write-verdict", may && !onVerdict && (open || dirty));
  show("sign-verdict", may && onVerdict && (open || dirty));
  show("preview-report", may && onVerdict && (open || dirty) && !state.ai_hidden);
  show("add-addendum", state.can_read && reported && !(onVerdict && dirty));
  show("mark-missed-box", may);
  byId("mark-words").textContent = state.ai_hidden ? "Mark a nodule" : "Mark a nodule that the AI missed";
  show("ask-place", may && !state.ai_hidden);
  byId("sign-verdict").textContent = state.ai_hidden ? "Record opinion" : reported ? "Sign correction" : "Sign verdict";
  byId("write-verdict").textContent = state.ai_hidden ? "Write opinion" : "Write verdict";
  show("next-form", Boolean(byId("next-form").dataset.doctor) && !(may && (open || dirty)));
  for (const field of form.elements) field.disabled = !may;
  nodules.offer([...state.findings, ...draft.data.missed.map((mark, at) => ({ number: state.next_number + at, diameter_mm: mark.diameter_mm }))]);
  show("second-read-line", may && open && state.may_ask_second && !state.ai_hidden);
  showVerdictNews(theirs, reported);
  showSummary();
}

function showVerdictNews(theirs, reported) {
  const nodes = [];
  if (theirs && state.status === "in_review") nodes.push(notice("warning", "person-lock", `${state.with_whom} is reading this case.`, "You can look. To give the verdict yourself, ask them, then take it over."));
  else if (state.read_before && byId("verdict-news").querySelector(".notice-success")) return;
  else if (state.read_before) nodes.push(notice("info", "people", "You have read this case.", `The ${state.stage_label} is another doctor's. Your own reading is under History.`));
  else if (state.can_read && state.ai_hidden) nodes.push(notice("info", "eye-slash", "Your opinion first.", state.ai_hidden));
  else if (state.can_read && state.blind) nodes.push(notice("info", "eye-slash", "This is a second read.", "What the first reader said is hidden until you sign. Where you differ, a third doctor decides."));
  else if (state.can_read && state.stage === "arbitration" && !reported) nodes.push(notice("warning", "people", "Two readings differ. Yours decides.", "", compareLink()));
  else if (theirs && reported && state.can_read) nodes.push(notice("info", "journal-medical", `Reported by ${state.with_whom}.`, "What you change here and sign is a correction in your name. The earlier verdict stays under History."));
  else if (!state.can_read) nodes.push(notice("info", "eye", "You may look at this case, not change it.", state.status === "returned" ? "It is with the technician." : ""));
  else if (reported && !byId("verdict-news").querySelector(".notice-success")) nodes.push(notice("info", "journal-medical", "This case is reported.", "What you change here and sign is a correction: a new verdict. The earlier one stays under History."));
  else if (reported) return;
  replaceIfNew(byId("verdict-news"), nodes);
}

function compareLink() {
  return make("a", { class: "btn btn-secondary btn-sm", href: root.compare }, "Compare both readings");
}

function showSummary() {
  const answers = Object.values(draft.data.answers);
  const unanswered = state.findings.filter((one) => !draft.data.answers[one.id]).length;
  const sending = corrections().length;
  const parts = [];
  if (state.findings.length) parts.push(unanswered ? `${unanswered} of ${state.findings.length} findings without an answer.` : `All ${state.findings.length} findings answered.`);
  if (draft.data.missed.length) parts.push(`${draft.data.missed.length} of your own marks.`);
  if (answers.length + draft.data.missed.length && sending) parts.push(`${sending} ${sending === 1 ? "correction goes" : "corrections go"} to retraining.`);
  byId("verdict-summary").textContent = parts.join(" ");
}

function corrections() {
  const found = state.findings.filter((one) => {
    const answer = draft.data.answers[one.id];
    return answer && one.disagrees[answer.label] && answer.retrain !== false;
  });
  return [...found, ...draft.data.missed.filter((mark) => mark.retrain)];
}

// ---------- The images ----------
function showOnImages() {
  const screen = viewer();
  if (!screen) return;
  const own = draft.data.missed.map((mark) => ({ ...mark, id: mark.key, source: "doctor" }));
  const shown = [...state.findings, ...own, ...places.marks].filter((one) => one.series === series);
  const profile = state.predictions.find((one) => one.series === series && one.standing)?.profile;
  const text = JSON.stringify([shown, profile]);
  if (screen.shownText === text) return;
  screen.shownText = text;
  screen.findings = shown;
  screen.profile = profile?.length ? profile : null;
}

function imageWords(place) {
  const instances = place.series === series ? viewer()?.manifest?.instances : null;
  const at = instances?.findIndex((one) => one.id === place.instance_id) ?? -1;
  if (at >= 0) return `Image ${at + 1} of ${instances.length}`;
  return place.image === null || place.image === undefined ? "Image" : `Image no. ${place.image}`;
}

function showSeries(id) {
  if (id === series) return;
  const thumb = document.querySelector(`[data-series="${CSS.escape(id)}"]`);
  if (!thumb) return;
  series = id;
  document.querySelectorAll("[data-series]").forEach((one) => one.removeAttribute("aria-current"));
  thumb.setAttribute("aria-current", "true");
  const fresh = document.createElement("ct-viewer");
  fresh.setAttribute("manifest-url", thumb.dataset.manifest);
  viewer()?.replaceWith(fresh);
  stopPicking();
  showOnImages();
}

function goTo(place) {
  showSeries(place.series);
  // Without the viewer (an old browser, a part that did not load) the case can still be read and signed.
  viewer()?.goTo?.(place.instance_id, place.row, place.column);
  goal = place.id || place.key;
  if (viewer()?.manifest) viewer().select?.(goal);
  list.select(goal);
}

document.addEventListener("ct-ready", () => {
  list.relabel(state.findings);
  if (goal) viewer()?.select?.(goal);
});
document.addEventListener("ct-finding", (event) => {
  openTab("findings");
  list.select(event.detail.id);
});
document.querySelectorAll("[data-series]").forEach((thumb) => thumb.addEventListener("click", () => showSeries(thumb.dataset.series)));

// ---------- Marking what the AI missed ----------
const PICKS = {
  "mark-missed": "Click the middle of the nodule in the image.",
  "ask-place": "Click any place in the image: the AI says what it thinks of it.",
};
let picking = "";

function stopPicking() {
  if (viewer()) viewer().pickMode = false;
  picking = "";
  for (const id of Object.keys(PICKS)) byId(id).setAttribute("aria-pressed", "false");
  byId("pick-hint").hidden = true;
}

for (const [id, words] of Object.entries(PICKS)) {
  byId(id).addEventListener("click", () => {
    if (!viewer()?.instanceId) return window.showToast("The images are not there yet.", "info");
    const again = picking === id;
    stopPicking();
    if (again) return undefined;
    picking = id;
    viewer().pickMode = true;
    byId(id).setAttribute("aria-pressed", "true");
    byId("pick-words").textContent = words;
    byId("pick-hint").hidden = false;
    return undefined;
  });
}

function markPlace(place, diameter_mm) {
  const key = `mark-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const { instance_id, row, column } = place;
  draft.data.missed.push({ key, series: place.series, instance_id, row, column, diameter_mm, label: "malignant", retrain: true });
  changed();
  list.select(key);
}

document.addEventListener("keydown", (event) => event.key === "Escape" && stopPicking());
document.addEventListener("ct-pick", (event) => {
  if (event.target !== viewer()) return;
  const { instance_id, row, column } = event.detail;
  const place = { series, instance_id, row, column };
  // Asking goes on, click after click, until Escape; a mark is set once.
  if (picking === "ask-place") return places.ask(place, imageWords(place));
  stopPicking();
  return markPlace(place, 8);
});

// ---------- The draft ----------
function changed() {
  dirty = true;
  Object.assign(draft.data, { cancer: form.elements.cancer.value, diagnoses: form.elements.diagnoses.value, text: form.elements.text.value });
  draft.keep();
  render();
}

/** Another tab, or another computer, saved this draft too: the doctor chooses, nothing is merged. */
function showConflict(kept) {
  const at = kept.saved_at ? new Date(kept.saved_at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }) : "";
  const box = byId("draft-conflict");
  const done = () => box.replaceChildren();
  const mine = button("Keep what this page shows", "btn-primary btn-sm", () => (draft.keepMine(), done()));
  const other = button("Take the other one", "btn-secondary btn-sm", () => (draft.takeOther(), window.location.reload()));
  const words = kept.version ? `It was saved at ${at}, in another tab or on another computer. Nothing of this page is lost.` : "It was signed or given up in another tab. Nothing of this page is lost.";
  box.replaceChildren(notice("warning", "exclamation-triangle-fill", "There is a newer draft of yours.", words, mine, other));
  openTab("verdict");
}

/** Without a draft the answers are those of the newest verdict. */
function adoptAnswers() {
  if (dirty || !state.verdicts) return;
  for (const one of state.findings) if (one.label) draft.data.answers[one.id] = { label: one.label, retrain: false, text: "" };
}

function fillForm() {
  if (!draft.found && state.verdicts) {
    draft.data.cancer = root.cancer;
    draft.data.diagnoses = (JSON.parse(byId("newest-diagnoses").textContent) || []).join("\n");
    draft.data.text = root.verdictText;
    draft.data.nodules = JSON.parse(byId("newest-nodules").textContent) || [];
    const own = root.lungRadsReason !== "";
    draft.data.incomplete = root.lungRads === "0" && !own;
    draft.data.lung_rads = own ? root.lungRads : "";
    draft.data.lung_rads_reason = root.lungRadsReason;
  }
  dirty = Boolean(draft.found);
  form.elements.cancer.value = draft.data.cancer;
  form.elements.diagnoses.value = draft.data.diagnoses;
  form.elements.text.value = draft.data.text;
  nodules.fill();
  if (dirty) byId("draft-kept").textContent = "This is your draft from before; it is not signed yet.";
  if (draft.conflict) showConflict(draft.conflict);
}

form.addEventListener("input", (event) => event.target.closest("#structured, .text-tools") || event.target.id === "coded-diagnosis" || changed());
textTools({ root, form, changed });
form.addEventListener("submit", (event) => {
  event.preventDefault();
  sign();
});

// ---------- Signing and the other steps ----------
function verdictBody() {
  const findings = state.findings.filter((one) => draft.data.answers[one.id]).map((one) => {
    const { label, retrain, text } = draft.data.answers[one.id];
    return { finding: one.id, label, retrain: Boolean(one.disagrees[label] && retrain !== false), text: text || "" };
  });
  const missed = draft.data.missed.map(({ instance_id, row, column, diameter_mm, label, retrain }) => ({ instance: instance_id, row, column, diameter_mm, label, retrain }));
  const diagnoses = draft.data.diagnoses.split("\n").map((line) => line.trim()).filter(Boolean);
  const second_read = Boolean(state.may_ask_second && byId("second-read").checked);
  return { revision: state.revision, cancer: draft.data.cancer, diagnoses, text: draft.data.text, second_read, findings, missed, structured: nodules.body() };
}

async function sign() {
  if (busy) return;
  if (!draft.data.cancer) {
    problem("Choose cancer: yes, no or uncertain. Nothing was sent yet.");
    byId("cancer-yes").focus();
    return;
  }
  if (draft.conflict) return problem("First choose which of the two drafts counts. Nothing was signed.");
  if (state.ai_hidden) return recordOpinion();
  await doing(byId("sign-verdict"), async () => {
    await draft.settle();
    const answer = await ask(`${root.api}verdicts/`, verdictBody());
    draft.forget();
    draft.data.missed = [];
    for (const one of Object.values(draft.data.answers)) one.retrain = false;
    dirty = false;
    byId("draft-kept").textContent = "";
    problem("");
    showSigned(answer);
    await refresh();
  }, problem);
}

/** Where the site reads doctor first: the opinion goes first, then the AI's answer comes. */
async function recordOpinion() {
  await doing(byId("sign-verdict"), async () => {
    const { cancer, diagnoses, text } = verdictBody();
    await ask(`${root.api}unaided-opinion/`, { cancer, diagnoses, text });
    problem("");
    await refresh();
    openTab("findings");
    window.showToast("Your opinion is recorded. Here is what the AI said.", "success");
  }, problem);
}

function showSigned(answer) {
  const sent = answer.sent_for_retraining;
  const lines = [sent ? `${sent} ${sent === 1 ? "correction was" : "corrections were"} sent for retraining.` : "", ...answer.not_sent.map((words) => `Not sent for retraining: ${words}`)];
  const at = new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const box = byId("verdict-news");
  box.dataset.shown = "";
  box.replaceChildren(notice("success", "check-circle-fill", `Signed at ${at}.`, lines.filter(Boolean).join(" ")));
  byId("pane-verdict").scrollTop = 0;
}

function problem(words) {
  byId("sign-problem").replaceChildren(...(words ? [notice("danger", "exclamation-octagon-fill", "Not signed.", words)] : []));
  if (words) byId("sign-problem").scrollIntoView({ block: "nearest" });
}

async function doing(control, work, explain) {
  busy = true;
  control.disabled = true;
  try {
    await work();
  } catch (trouble) {
    explain(trouble.message);
    if (trouble.status === 409) await refresh();
  }
  busy = false;
  control.disabled = false;
}

const toast = (words) => window.showToast(words, "error");
const actions = {
  step: (url, done) => doing(byId("ai-state"), async () => {
    await ask(url, {});
    window.showToast(done, "success");
    await refresh();
  }, toast),
  correctChest: (label) => doing(byId("ai-facts"), async () => {
    await ask(`${root.api}chest-correction/`, { instance: viewer()?.instanceId, label });
    window.showToast(`Sent for retraining as “${label === "chest" ? "chest" : "not a chest"}”.`, "success");
    await refresh();
  }, toast),
  correctContrast: (series, label) => doing(byId("ai-facts"), async () => {
    await ask(`${root.api}contrast-correction/`, { series, label });
    window.showToast(`Sent for retraining as “${label === "contrast" ? "contrast given" : "no contrast"}”.`, "success");
    await refresh();
  }, toast),
};

function stepButton(id, path, done, body = () => ({})) {
  byId(id).addEventListener("click", () => busy || doing(byId(id), async () => {
    await ask(`${root.api}${path}/`, body());
    window.showToast(done, "success");
    await refresh();
  }, toast));
}
stepButton("claim-case", "claim", "The case is yours.");
stepButton("release-case", "release", "The case is back on the list. Your draft is kept.");
stepButton("take-over-case", "take-over", "The case is yours now.", () => ({ revision: state.revision }));

const dialog = () => window.bootstrap.Modal.getOrCreateInstance(byId("return-dialog"));
byId("return-case").addEventListener("click", () => dialog().show());
byId("return-dialog").addEventListener("shown.bs.modal", () => byId("return-reason").focus());
byId("return-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = byId("return-reason").value.trim();
  const tell = (words) => (byId("return-problem").textContent = words);
  if (!reason) return tell("Say what the technician should change.");
  if (busy) return undefined;
  return doing(event.submitter, async () => {
    await ask(`${root.api}return/`, { revision: state.revision, reason });
    tell("");
    dialog().hide();
    window.showToast("Returned to the technician.", "success");
    await refresh();
  }, tell);
});

// ---------- Tabs ----------
const TABS = ["findings", "verdict", "history"];

function openTab(name) {
  for (const one of TABS) {
    const chosen = one === name;
    byId(`tab-${one}`).setAttribute("aria-selected", String(chosen));
    byId(`tab-${one}`).tabIndex = chosen ? 0 : -1;
    byId(`pane-${one}`).hidden = !chosen;
  }
  if (name === "history") showHistory();
  showSteps();
}

TABS.forEach((name, at) => {
  byId(`tab-${name}`).addEventListener("click", () => openTab(name));
  byId(`tab-${name}`).addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const next = TABS[(at + move + TABS.length) % TABS.length];
    openTab(next);
    byId(`tab-${next}`).focus();
  });
});
byId("write-verdict").addEventListener("click", () => {
  openTab("verdict");
  (form.elements.cancer.value ? form.elements.diagnoses : byId("cancer-yes")).focus();
});

async function showHistory() {
  const pane = byId("pane-history");
  const version = JSON.stringify([state.revision, state.predictions.map((one) => one.status)]);
  if (historyOf === version) return;
  try {
    const answer = await fetch(pane.dataset.url);
    if (!answer.ok || answer.redirected) throw new Error();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    pane.replaceChildren(...page.body.children);
    historyOf = version;
  } catch {
    pane.replaceChildren(notice("warning", "wifi-off", "The history cannot be fetched now.", "Open this tab again in a moment."));
  }
}

// ---------- Keeping the state fresh ----------
async function refresh() {
  clearTimeout(timer);
  const lost = document.querySelector("[data-connection-lost]");
  try {
    state = await ask(root.stateUrl);
    if (lost) lost.hidden = true;
    render();
    if (!byId("pane-history").hidden) showHistory();
  } catch (trouble) {
    if (trouble.status === 401 || trouble.status === 404) {
      window.showToast(trouble.message, "error");
      return;
    }
    if (lost) lost.hidden = false;
  }
  timer = setTimeout(refresh, state.working ? QUICK : SLOW);
}

reportDialogs({
  api: root.api, doing, problem, isBusy: () => busy, body: verdictBody, revision: () => state.revision,
  added: () => ((historyOf = -1), refresh()),
});
fillForm();
render();
timer = setTimeout(refresh, state.working ? QUICK : SLOW);
