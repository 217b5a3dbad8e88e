// Which study a file belongs to, read in the browser so that progress can be told per study. The server decides.
(function () {
  "use strict";

  const HEAD_BYTES = 65536;
  const EXPLICIT_VR = [0x55, 0x49]; // "UI"

  // The Study Instance UID (0020,000D) near the start of a little-endian file, or "" when it is not found.
  async function studyInstanceUid(file) {
    try {
      const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
      if (String.fromCharCode(...bytes.subarray(128, 132)) !== "DICM") return "";
      return uidIn(bytes);
    } catch {
      return "";
    }
  }

  function uidIn(bytes) {
    for (let at = 132; at + 8 < bytes.length; at += 2) {
      if (bytes[at] !== 0x20 || bytes[at + 1] !== 0 || bytes[at + 2] !== 0x0d || bytes[at + 3] !== 0) continue;
      const explicit = bytes[at + 4] === EXPLICIT_VR[0] && bytes[at + 5] === EXPLICIT_VR[1];
      const lengthAt = explicit ? at + 6 : at + 4;
      const length = bytes[lengthAt] | (bytes[lengthAt + 1] << 8);
      const text = String.fromCharCode(...bytes.subarray(at + 8, at + 8 + length)).replace(/[\0 ]+$/, "");
      if (length <= 64 && /^[0-9.]+$/.test(text)) return text;
    }
    return "";
  }

  window.studyInstanceUid = studyInstanceUid;
})();
