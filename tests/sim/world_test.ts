import { deepStrictEqual, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

// What is imported for its types alone is not there when it runs.
const IMPORT = /^(?:import|export) (?!type )[^;]*?from "(\.[^"]+)";|import\("(\.[^"]+)"\)/gm;

/** All files that a file needs when it runs, itself included. */
function filesBehind(entry: URL): Set<string> {
  const files = new Set<string>();
  const open = [entry];
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    if (files.has(url.href)) continue;
    files.add(url.href);
    for (const [, path, dynamic] of readFileSync(fileURLToPath(url), "utf8").matchAll(IMPORT)) {
      open.push(new URL((path ?? dynamic)!, url));
    }
  }
  return files;
}

test("the simulated world runs the shipped code without any file of a runtime", () => {
  const files = [...filesBehind(new URL("./simulation.ts", import.meta.url))];
  for (const core of ["cluster_core", "channel_core", "presence_core", "backplane/mesh/mesh"]) {
    ok(files.some((file) => file.endsWith(`/src/${core}.ts`)), core);
  }
  const foreign = files.filter((file) => /\/src\/(runtime|edge\/upgrade)/.test(file));
  deepStrictEqual(foreign, []);
});
