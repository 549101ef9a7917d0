// The classes that the guides print, unchanged, in a world where paths lead to the bridge under test.

import { readFile } from "node:fs/promises";
import vm from "node:vm";

/** The class of a fixture; `world` holds the globals that the printed code uses. */
export async function printedClass(fixture, base, world = {}) {
  const source = await readFile(new URL(`fixtures/${fixture}.js`, import.meta.url), "utf8");
  const requests = [];
  const globals = {
    requests,
    JSON,
    Promise,
    console: { log() {}, error() {} },
    setTimeout,
    clearTimeout,
    setInterval: () => 0,
    fetch: (path, options) => {
      const answer = fetch(base + path, options);
      requests.push({ path, answer });
      return answer;
    },
    ...world,
  };
  return { printed: vm.runInNewContext(`(${source})`, globals), requests };
}
