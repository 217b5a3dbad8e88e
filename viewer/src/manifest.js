// The series as the server describes it, in the shape the viewer works with.

/** Raised with words for the person in front of the screen. */
export class ViewerError extends Error {}

const WORDS = {
  401: "You are logged out. Log in again in another tab, then reload this page.",
  403: "You may not open these images, or you were logged out.",
  404: "These images are not here, or not yours to see.",
  503: "The stored file of this image cannot be read. Please tell your admin.",
};

/** The answer, or a ViewerError that says what happened. A redirect to the login page counts as logged out. */
export async function fetchOrExplain(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ViewerError("The server cannot be reached. What is on screen is kept; it is tried again by itself.");
  }
  if (response.redirected && /text\/html/.test(response.headers.get("Content-Type"))) throw explained(401);
  if (!response.ok) throw Object.assign(explained(response.status), { words: await reasonOf(response) });
  return response;
}

/** The server's own words where it gives some. */
async function reasonOf(response) {
  return (await response.json().catch(() => null))?.detail;
}

function explained(status) {
  const error = new ViewerError(WORDS[status] || `The server could not send the images (${status}). Try again in a minute.`);
  error.status = status;
  return error;
}

export async function fetchManifest(url) {
  const response = await fetchOrExplain(url, { headers: { Accept: "application/json" } });
  return normalised(await response.json());
}

function normalised(raw) {
  if (!raw.instances?.length) throw new ViewerError("This series has no images.");
  return { ...raw, instances: raw.instances.map(instanceOf) };
}

function instanceOf(raw, index) {
  const spacing = raw.pixel_spacing;
  const placed = Boolean(raw.image_position_patient && raw.image_orientation_patient);
  return {
    id: raw.public_id,
    index,
    huUrl: raw.hu_url,
    number: raw.instance_number,
    rows: raw.rows,
    columns: raw.columns,
    // Without Pixel Spacing lengths are in pixels, and the overlay says so.
    calibrated: Boolean(spacing),
    rowSpacing: spacing ? spacing[0] : 1,
    columnSpacing: spacing ? spacing[1] : 1,
    placed,
    position: raw.image_position_patient || [0, 0, index],
    orientation: raw.image_orientation_patient || [1, 0, 0, 0, 1, 0],
    sliceLocation: raw.slice_location,
    windowCenter: raw.window_center,
    windowWidth: raw.window_width,
    offers: offersOf(raw),
    voiFunction: raw.voi_lut_function,
    inverted: raw.inverted,
    lossy: raw.lossy,
  };
}

/** What the file itself offers to look through: its windows, then its tables (VOI LUT Sequence). */
function offersOf(raw) {
  const only = raw.window_center !== null && raw.window_width !== null ? [{ center: raw.window_center, width: raw.window_width }] : [];
  const windows = (raw.windows.length ? raw.windows : only).map(({ center, width, explanation }, at) => ({ center, width, words: explanation || `Window ${at + 1}` }));
  const tables = raw.voi_luts.map(({ explanation, sha256 }, number) => (
    { lut: number, sha256, url: `${raw.voi_lut_url}?number=${number}`, words: explanation || `Table ${number + 1}` }));
  return [...windows, ...tables];
}
