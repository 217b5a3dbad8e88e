// Three steps and "not assessed", as templates/includes/suspicion.html has them.

export function suspicion(finding) {
  const score = finding.malignancy_probability;
  if (score === null || score === undefined) return { step: "none", word: "not assessed", text: "not assessed" };
  const [step, word] = score >= 0.7 ? ["high", "high"] : score >= 0.3 ? ["mid", "middle"] : ["low", "low"];
  return { step, word, text: score.toFixed(2) };
}

const SHAPES = { high: "M0-6 6.2 5H-6.2z", mid: "M0-6.2 6.2 0 0 6.2-6.2 0z", low: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", none: "M-5-5H5V5H-5z" };

/** The outline of the step's shape, around (0, 0) and about 12 units wide. */
export const shapeOf = (step) => SHAPES[step];

/** What a mark says: "1 · 0.91 · 19 mm"; a doctor's own mark says what the doctor called it. */
export function caption(finding) {
  const size = finding.diameter_mm ? ` · ${Math.round(finding.diameter_mm)} mm` : "";
  const said = finding.source === "doctor" ? finding.label || "marked" : suspicion(finding).text;
  return `${finding.number} · ${said}${size}`;
}
