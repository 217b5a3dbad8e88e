// Copies the front-end files that pages use from node_modules to static/vendor,
// so that the lock file says where each of them comes from.
import * as esbuild from "esbuild";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const modules = new URL("./node_modules/", import.meta.url);
const vendor = new URL("../static/vendor/", import.meta.url);

const ICONS = [
  "arrow-clockwise", "arrow-counterclockwise", "arrow-down", "arrow-left", "arrow-left-right", "arrow-repeat",
  "arrow-right", "arrow-up", "arrows-move", "ban", "bar-chart-line", "bell", "box-arrow-right", "bullseye",
  "calendar3", "camera", "check-circle", "check-circle-fill", "check-lg", "chevron-down", "chevron-left",
  "chevron-right", "chevron-up", "circle-half", "clipboard2-pulse", "clock", "clock-history", "cloud-upload", "cpu",
  "crosshair", "database", "download", "envelope", "eraser", "exclamation-circle", "exclamation-octagon-fill",
  "exclamation-triangle", "exclamation-triangle-fill", "eye", "eye-slash", "file-earmark", "file-earmark-medical",
  "file-earmark-x", "file-earmark-zip", "filter", "fire", "flag", "folder2-open", "gear", "graph-up", "grid-1x2", "hand-index",
  "hourglass-split", "house", "images", "inbox", "info-circle", "info-circle-fill", "journal-medical", "key",
  "keyboard", "layers", "layout-split", "link-45deg", "list-check", "list-ul", "lock", "lungs", "moon-stars", "pause-fill", "pen",
  "pencil", "people", "person", "person-badge", "person-check", "person-lock", "play-fill", "plus-lg", "printer",
  "question-circle", "reply", "rulers", "search", "send", "shield-check", "shield-lock", "sliders", "sun", "square-half", "symmetry-horizontal",
  "symmetry-vertical", "tags", "three-dots", "trash", "unlock", "upload", "wifi-off", "x-circle", "x-circle-fill",
  "x-lg", "zoom-in",
];

const read = (path) => readFileSync(new URL(path, modules), "utf8");
// The maps are not shipped, and a manifest storage would look for them.
const withoutSourceMap = (text) => text.replace(/\n?\/[/*]# sourceMappingURL=.*?(\*\/)?\s*$/, "\n");

function copyText(from, to) {
  writeFileSync(new URL(to, vendor), withoutSourceMap(read(from)));
}

function iconSprite() {
  const symbols = ICONS.map((name) =>
    read(`bootstrap-icons/icons/${name}.svg`)
      .replace(/<svg[^>]*>/, `<symbol id="${name}" viewBox="0 0 16 16">`)
      .replace("</svg>", "</symbol>")
      .replace(/\n\s*/g, ""),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}

rmSync(vendor, { recursive: true, force: true });
for (const folder of ["bootstrap", "bootstrap-icons", "htmx", "source-sans-3/files", "zip"]) {
  mkdirSync(new URL(folder, vendor), { recursive: true });
}
copyText("bootstrap/dist/css/bootstrap.min.css", "bootstrap/bootstrap.min.css");
copyText("bootstrap/dist/js/bootstrap.bundle.min.js", "bootstrap/bootstrap.bundle.min.js");
copyText("bootstrap/LICENSE", "bootstrap/LICENSE");
copyText("htmx.org/dist/htmx.min.js", "htmx/htmx.min.js");
copyText("htmx.org/LICENSE", "htmx/LICENSE");
copyText("@zip.js/zip.js/LICENSE", "zip/LICENSE");
// Only what reads ZIPs, with the browser's own decompression: no WebAssembly, no workers.
esbuild.buildSync({
  stdin: {
    contents: 'export { BlobReader, ZipReader, configure } from "@zip.js/zip.js/lib/zip-core-custom.js";',
    resolveDir: new URL(".", import.meta.url).pathname,
  },
  outfile: new URL("zip/zip.js", vendor).pathname,
  bundle: true, format: "esm", minify: true, target: ["es2022"], legalComments: "none",
});
copyText("bootstrap-icons/LICENSE", "bootstrap-icons/LICENSE");
writeFileSync(new URL("bootstrap-icons/icons.svg", vendor), iconSprite());
copyText("@fontsource-variable/source-sans-3/LICENSE", "source-sans-3/LICENSE");
copyText("@fontsource-variable/source-sans-3/wght.css", "source-sans-3/source-sans-3.css");
for (const [, file] of read("@fontsource-variable/source-sans-3/wght.css").matchAll(/files\/([\w-]+\.woff2)/g)) {
  cpSync(new URL(`@fontsource-variable/source-sans-3/files/${file}`, modules),
    new URL(`source-sans-3/files/${file}`, vendor));
}

// For the tests only: it is not among the files that pages can fetch.
mkdirSync(new URL("../tests/browser/axe/", import.meta.url), { recursive: true });
writeFileSync(new URL("../tests/browser/axe/axe.min.js", import.meta.url), withoutSourceMap(read("axe-core/axe.min.js")));
writeFileSync(new URL("../tests/browser/axe/LICENSE", import.meta.url), read("axe-core/LICENSE"));
