// Builds the client: `node build.js` makes the package (dist/) and what the bridge serves (../src/app/web/client/);
// `node build.js dist` the package only; `node build.js check` tells whether what the bridge serves is up to date with it.

import { execFileSync } from "node:child_process";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const DIST = join(HERE, "dist");
const SERVED = join(HERE, "../src/app/web/client");
const TSC = join(HERE, "node_modules/typescript/bin/tsc");
const SOCKET_IO = join(HERE, "node_modules/socket.io-client/dist/socket.io.esm.min.js");
/** As guide 002 promises. */
const TARGET = ["chrome90", "firefox88", "safari14", "edge90"];

const [what = "all"] = process.argv.slice(2);
if (what !== "check") {
  await rm(DIST, { recursive: true, force: true });
  execFileSync(process.execPath, [TSC, "-p", HERE], { stdio: "inherit" });
}
if (what === "all") {
  await rm(SERVED, { recursive: true, force: true });
  for (const [name, text] of await served()) {
    await mkdir(dirname(join(SERVED, name)), { recursive: true });
    await writeFile(join(SERVED, name), text);
  }
}
if (what === "check") {
  const fresh = await served();
  const names = new Set([...fresh.keys(), ...(await files(SERVED))]);
  const stale = [];
  for (const name of names) {
    const there = await readFile(join(SERVED, name), "utf8").catch(() => null);
    if (there !== fresh.get(name)) stale.push(name);
  }
  if (stale.length > 0) {
    console.error(`src/app/web/client is not what client/ builds to (${stale.join(", ")}): run npm run build in client/`);
    process.exit(1);
  }
}

/** The modules for browsers, each in one file, with maps and types: their texts by name. */
async function served() {
  const beside = { name: "beside", setup: (one) => one.onResolve({ filter: /^socket\.io-client$/ }, () => ({ path: "./socket.io.js", external: true })) };
  const { outputFiles } = await build({
    absWorkingDir: HERE,
    entryPoints: ["src/rowcast.ts", "src/messaging.ts"],
    outdir: SERVED,
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGET,
    // Safari 14 has it; esbuild counts a fault in a corner of it as not having it.
    supported: { destructuring: true },
    sourcemap: true,
    plugins: [beside],
    logLevel: "warning",
  });
  const all = new Map(outputFiles.map(({ path, text }) => [relative(SERVED, path), text]));
  // Socket.IO's own build, as it is published, less the name of a map that is not here; its first lines name its licence.
  const socketIo = await readFile(SOCKET_IO, "utf8");
  all.set("socket.io.js", socketIo.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"));
  for (const name of await files(DIST)) {
    if (name.endsWith(".d.ts") && !name.startsWith("react")) all.set(name, await readFile(join(DIST, name), "utf8"));
  }
  return all;
}

async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
