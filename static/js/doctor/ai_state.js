// What the AI is doing or has said, series by series, with what a person can do about it.
import { button, make, notice } from "./elements.js";

const minus = (text) => String(text).replace("-", "−");

function asked(prediction) {
  return prediction.override ? `${prediction.series_label}, without the chest check` : prediction.series_label;
}

/** The box above the findings: working, refused, failed, or that nothing was found. */
export function stateBox(state, actions) {
  if (state.ai.off) return [notice("warning", "eye-slash", "The AI is switched off.", `${state.ai.off} You read without it; an admin is to look into it.`)];
  if (state.ai_hidden) return [hiddenBox(state)];
  const nodes = state.predictions.filter((one) => one.newest).map((one) => boxOf(one, state, actions)).filter(Boolean);
  const answered = state.predictions.some((one) => one.standing);
  if (!state.predictions.length) nodes.push(notice("info", "cpu", "The AI was not asked about this case.", "You can read without it."));
  else if (answered && !state.working && !state.findings.some((one) => one.source === "model")) {
    nodes.push(notice("info", "info-circle-fill", "The AI found no nodule.", "This is not an all-clear: small, faint and central nodules can be missed."));
  }
  return nodes;
}

function hiddenBox(state) {
  const words = state.can_read ? state.ai_hidden : "This site reads doctor first: what the AI said is shown once the case is reported.";
  return notice("info", "eye-slash", "The AI's answer is hidden for now.", words);
}

function boxOf(prediction, state, actions) {
  if (prediction.status === "queued" || prediction.status === "running") return workingBox(prediction);
  if (prediction.status === "failed") {
    const again = prediction.may_retry && button("Try again", "btn-secondary btn-sm", () => actions.step(prediction.retry_url, "The AI tries again."));
    return notice("danger", "exclamation-octagon-fill", `The AI failed on ${asked(prediction)}`, prediction.reason, ...[again].filter(Boolean));
  }
  if (prediction.status === "refused") return refusedBox(prediction, state, actions);
  return null;
}

function workingBox(prediction) {
  const percent = Math.round(prediction.progress * 100);
  const running = prediction.status === "running";
  const bar = make("progress", { max: 100, value: percent, "aria-label": "The AI's progress" });
  return make("div", { class: "ai-line" },
    make("b", {}, running ? `The AI is working on ${asked(prediction)}, ${percent} %` : `${asked(prediction)} waits for the AI`),
    make("div", {}, "You can read meanwhile. Its answer appears here by itself."), bar);
}

function refusedBox(prediction, state, actions) {
  const buttons = [];
  if (prediction.may_override && state.can_read && !prediction.override) {
    buttons.push(button("Score anyway", "btn-secondary btn-sm", () =>
      window.confirm("Score this series although the chest check refused it? This is kept in the case's history.") &&
      actions.step(prediction.override_url, "The AI scores this series without the chest check.")));
  }
  if (state.can_read && prediction.code === "not_chest") {
    buttons.push(button("It is a chest: send the shown image for retraining", "btn-quiet btn-sm", () => actions.correctChest("chest")));
  }
  return notice("warning", "ban", `Not assessed: ${asked(prediction)}`, prediction.reason, ...buttons);
}

function contrastWords(probability) {
  if (probability === null) return "as if nobody could tell";
  return `${probability >= 0.5 ? "as if contrast agent was given" : "as if none was given"} (${probability.toFixed(2)})`;
}

/** The quiet lines under the findings: how the answer came about. */
export function factLines(state, actions) {
  return state.predictions.filter((one) => one.standing).map((prediction) => {
    const parts = [];
    if (prediction.slices) parts.push(`Chest: ${prediction.chest_slices} of ${prediction.slices} slices.`);
    if (prediction.air_hu !== null) parts.push(`Air ${minus(Math.round(prediction.air_hu))} HU.`);
    if (prediction.seconds !== null) parts.push(`Answered in ${prediction.seconds < 10 ? prediction.seconds : Math.round(prediction.seconds)} s.`);
    if (!prediction.newest) parts.push("An earlier answer; it stands until the new one comes.");
    return make("div", { class: "ai-line" },
      make("div", {}, make("b", {}, asked(prediction)), ` ${parts.join(" ")}`),
      make("div", {}, `${prediction.versions.join(", ")} · operating point ${prediction.operating_words}`),
      prediction.warnings.length ? make("ul", {}, ...prediction.warnings.map((words) => make("li", {}, words))) : null,
      state.can_read ? make("details", {}, make("summary", {}, "Is this not a chest?"),
        make("div", { class: "actions-row" }, button("Send the shown image for retraining as “not a chest”", "btn-secondary btn-sm", () => actions.correctChest("not_chest")))) : null,
      state.can_read ? make("details", {}, make("summary", {}, "Is the contrast agent told wrongly?"),
        make("div", {}, `The images look ${contrastWords(prediction.contrast)}.`),
        make("div", { class: "actions-row" },
          button("Send this series as “contrast given”", "btn-secondary btn-sm", () => actions.correctContrast(prediction.series, "contrast")),
          button("as “no contrast”", "btn-secondary btn-sm", () => actions.correctContrast(prediction.series, "no_contrast")))) : null);
  });
}
