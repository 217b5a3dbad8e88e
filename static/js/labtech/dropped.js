// The files of a drop, folders walked; without what systems leave in folders.
(function () {
  "use strict";

  const CLUTTER = /(^|\/)(\.(?!\.?\/)|thumbs\.db$|desktop\.ini$|dicomdir$|__macosx)/i;

  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      for (const one of some) if (!window.isClutter(one.name)) found.push(...(await filesOf(one)));
    }
    return found;
  }

  window.isClutter = (name) => CLUTTER.test(name);

  window.droppedFiles = async function (transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files];
    const found = [];
    for (const entry of entries) {
      try {
        found.push(...(await filesOf(entry)));
      } catch {
        window.showToast?.(`“${entry.name}” could not be read. Choose it again.`, "error");
      }
    }
    return found;
  };
})();
