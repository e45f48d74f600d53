/**
 * How to run a TypeScript file on each runtime, in one process whose id is the runtime's own.
 *
 * The wrappers in `node_modules/.bin` may fork, and a signal to a wrapper is no test of the node
 * behind it: the binaries themselves are looked up here.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The runtimes that the library runs on. */
export const RUNTIMES = ["node", "bun", "deno"] as const;

/** One of the runtimes that the library runs on. */
export type RuntimeName = typeof RUNTIMES[number];

/** The folder of the project, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** The runtime that this very process runs on. */
export const CURRENT_RUNTIME: RuntimeName = "bun" in process.versions
  ? "bun"
  : "deno" in process.versions
  ? "deno"
  : "node";

/** Returns the runtime's binary. @throws {Error} If it is not installed. */
export function runtimeBinary(runtime: RuntimeName): string {
  if (runtime === CURRENT_RUNTIME) return process.execPath;
  if (runtime === "node") return nodeBinary();
  const packages = runtime === "bun"
    ? ["bun/bin/bun.exe", ...platformPackages("@oven", "bin/bun")]
    : [...platformPackages("@deno", "deno"), "deno/deno"];
  const found = packages.map((path) => `${ROOT}node_modules/${path}`).find(isBinary);
  if (found === undefined) {
    throw new Error(`Cannot find ${runtime} in node_modules: run "npm ci" first`);
  }
  return found;
}

/** Returns the binary and the arguments that stand before a TypeScript file's name. */
export function runtimeCommand(runtime: RuntimeName): readonly [string, ...string[]] {
  const binary = runtimeBinary(runtime);
  if (runtime === "bun") return [binary];
  if (runtime === "deno") return [binary, "run", "--allow-all", "--no-check"];
  return stripsTypes(binary)
    ? [binary]
    : [binary, "--import", new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url).href];
}

/** Returns what the runtime calls its version. */
export function runtimeVersion(runtime: RuntimeName): string {
  const output = execFileSync(runtimeBinary(runtime), ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+\S*/.exec(output)?.[0] ?? output.trim();
}

function nodeBinary(): string {
  const folders = (process.env["PATH"] ?? "").split(":");
  const found = folders.map((folder) => `${folder}/node`).find((path) => existsSync(path));
  if (found === undefined) throw new Error("Cannot find node in PATH");
  return found;
}

function stripsTypes(binary: string): boolean {
  const program = "process.stdout.write(String(Boolean(process.features.typescript)))";
  return execFileSync(binary, ["-e", program], { encoding: "utf8" }) === "true";
}

function platformPackages(scope: string, binary: string): string[] {
  try {
    return readdirSync(`${ROOT}node_modules/${scope}`).map((name) => `${scope}/${name}/${binary}`);
  } catch {
    // No such scope: the package is not installed, which the caller reports.
    return [];
  }
}

// Where install scripts did not run, a script of a few lines stands in the place of the binary.
function isBinary(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000;
}
