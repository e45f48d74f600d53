/**
 * Preloaded by `deno test`, which otherwise passes a file whose import or timer threw: ends the run
 * instead, so that an error nobody caught fails on this runtime as it does on the others.
 *
 * @module
 */

import { exit } from "node:process";

globalThis.addEventListener("error", (event) => fail(event.error));
globalThis.addEventListener("unhandledrejection", (event) => fail(event.reason));

function fail(reason: unknown): void {
  // deno-lint-ignore no-console
  console.error("Uncaught outside of a test's own promise:", reason);
  exit(1);
}
