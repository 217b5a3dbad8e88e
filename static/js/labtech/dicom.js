// Which study and image a file is, read in the browser so that progress can be told per study and
// nothing is sent twice. The server decides.
(function () {
  "use strict";

  const HEAD_BYTES = 65536;
  const EXPLICIT_VR = [0x55, 0x49]; // "UI"

  // The Study Instance UID (0020,000D) and SOP Instance UID (0008,0018) near the start of a
  // little-endian file, or "" for what is not found; and whether it is a ZIP instead.
  async function uidsOf(file) {
    try {
      const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
      if (String.fromCharCode(...bytes.subarray(128, 132)) !== "DICM") return { uid: "", sop: "", zip: isZip(bytes) };
      return { uid: uidIn(bytes, 0x20, 0x0d), sop: uidIn(bytes, 0x08, 0x18) };
    } catch {
      return { uid: "", sop: "" };
    }
  }

  // "PK", then a first file or (a ZIP of nothing) the end of the list.
  function isZip(bytes) {
    return ["PK\x03\x04", "PK\x05\x06"].includes(String.fromCharCode(...bytes.subarray(0, 4)));
  }

  async function sha256Of(file) {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function uidIn(bytes, group, element) {
    for (let at = 132; at + 8 < bytes.length; at += 2) {
      if (bytes[at] !== group || bytes[at + 1] !== 0 || bytes[at + 2] !== element || bytes[at + 3] !== 0) continue;
      const explicit = bytes[at + 4] === EXPLICIT_VR[0] && bytes[at + 5] === EXPLICIT_VR[1];
      const lengthAt = explicit ? at + 6 : at + 4;
      const length = bytes[lengthAt] | (bytes[lengthAt + 1] << 8);
      const text = String.fromCharCode(...bytes.subarray(at + 8, at + 8 + length)).replace(/[\0 ]+$/, "");
      if (length <= 64 && /^[0-9.]+$/.test(text)) return text;
    }
    return "";
  }

  window.uidsOf = uidsOf;
  window.sha256Of = sha256Of;
})();
