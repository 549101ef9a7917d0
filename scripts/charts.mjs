#!/usr/bin/env node
// Copies the charting library of the admin console (uPlot, of tests/js/package-lock.json) to where the binary takes it from;
// `scripts/charts.mjs check` only tells whether what is there is that. After an update: npm install in tests/js, then this.

import { mkdir, readFile, writeFile } from "node:fs/promises";

const FROM = new URL("../tests/js/node_modules/uplot/", import.meta.url);
const TO = new URL("../src/app/web/admin/uplot/", import.meta.url);

const text = (name) => readFile(new URL(name, FROM), "utf8");
const files = {
  // As it is published, and exported: it is made for a script element.
  "uplot.js": `${(await text("dist/uPlot.iife.min.js")).trimEnd()}\nexport default uPlot;\n`,
  "uplot.css": await text("dist/uPlot.min.css"),
  LICENSE: await text("LICENSE"),
};

const check = process.argv[2] === "check";
for (const [name, wanted] of Object.entries(files)) {
  const there = await readFile(new URL(name, TO), "utf8").catch(() => null);
  if (there === wanted) continue;
  if (check) {
    console.error(`src/app/web/admin/uplot/${name} is not what tests/js/node_modules has: run scripts/charts.mjs`);
    process.exitCode = 1;
  } else {
    await mkdir(TO, { recursive: true });
    await writeFile(new URL(name, TO), wanted);
  }
}
