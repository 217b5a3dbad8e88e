// Builds static/viewer/ from src/, and copies static/vendor/ from node_modules.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import "./vendor.mjs";

const out = new URL("../static/viewer/", import.meta.url);
rmSync(out, { recursive: true, force: true });

// The site forbids inline styles, so a style is set through its object and not as an attribute.
const withoutInlineStyles = {
  name: "without-inline-styles",
  setup(build) {
    build.onLoad({ filter: /tools\/dist\/esm\/drawingSvg\/drawTextBox\.js$/ }, ({ path }) => {
      const before = readFileSync(path, "utf8");
      const contents = before.replace("textElement.setAttribute('style', combinedStyle)", "textElement.style.cssText = combinedStyle");
      if (contents === before) throw new Error(`${path} has changed: see which inline style it sets now`);
      return { contents, loader: "js" };
    });
  },
};

const result = await esbuild.build({
  entryPoints: ["src/viewer.js", "src/viewer.css"],
  outdir: "../static/viewer",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["es2022"],
  // vtk.js writes XML files with it; a viewer writes none.
  alias: { xmlbuilder2: "./src/nothing.js" },
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [withoutInlineStyles],
  metafile: true,
  logLevel: "warning",
});

// The licences of everything that went into the bundle.
const packages = new Set(
  Object.keys(result.metafile.inputs)
    .map((path) => path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/))
    .filter(Boolean)
    .map((match) => match[0]),
);
const licences = [...packages].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "No licence file in the package."}\n`;
});
writeFileSync(new URL("LICENSES.txt", out), licences.join(`\n${"-".repeat(72)}\n\n`));

for (const file of Object.keys(result.metafile.outputs)) {
  const bytes = readFileSync(file);
  console.log(`${file}  ${(bytes.length / 1024).toFixed(0)} KiB, ${(gzipSync(bytes).length / 1024).toFixed(0)} KiB gzipped`);
}
