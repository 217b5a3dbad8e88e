// The files in a ZIP, read on this computer.
(function () {
  "use strict";

  let library;

  async function load(url) {
    const loaded = await import(url);
    loaded.configure({ useWebWorkers: false }); // the pages' policy allows no worker made from text
    return loaded;
  }

  // [{name, size, open() -> Blob}] of what is worth sending; each is unpacked when it is opened.
  // Throws when the ZIP is damaged, protected, packed in an unusual way, or has no file in it.
  window.filesInZip = async function (file, url) {
    const { BlobReader, ZipReader } = await (library ??= load(url));
    const entries = (await new ZipReader(new BlobReader(file)).getEntries()).filter((one) => !one.directory && !window.isClutter(one.filename));
    if (!entries.length || entries.some((one) => one.encrypted || ![0, 8].includes(one.compressionMethod))) throw new Error("not to be read here");
    return entries.map((entry) => ({ name: entry.filename, size: entry.uncompressedSize, open: () => unpacked(entry) }));
  };

  // No more than the ZIP's table of contents says: what unfolds to more is stopped there.
  async function unpacked(entry) {
    const parts = [];
    let size = 0;
    const collected = new WritableStream({
      write(chunk) {
        size += chunk.length;
        if (size > entry.uncompressedSize) throw new Error("larger than told");
        parts.push(chunk);
      },
    });
    await entry.getData(collected, { checkSignature: true });
    return new Blob(parts);
  }
})();
