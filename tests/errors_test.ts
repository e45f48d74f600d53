import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ClusterError, LinkError, TcpError } from "../src/errors.ts";

const cause = new Error("underneath");
const ERRORS: readonly (readonly [name: string, code: string, make: (cause?: Error) => Error])[] = [
  ["TcpError", "refused", (cause) => new TcpError("refused", "Cannot dial: a:1", { cause })],
  ["LinkError", "secret_wrong", (cause) => new LinkError("secret_wrong", "Cannot link", { cause })],
  ["ClusterError", "stopped", (cause) => new ClusterError("stopped", "Cannot start", { cause })],
];

for (const [name, code, make] of ERRORS) {
  test(`a ${name} is an Error with its name, code and cause`, () => {
    const error = make(cause);
    ok(error instanceof Error);
    strictEqual(error.name, name);
    strictEqual((error as Error & { code: string }).code, code);
    strictEqual(error.cause, cause);
    ok(String(error).startsWith(`${name}: Cannot `));
  });

  test(`a ${name} without a cause has none, not even an empty one`, () => {
    strictEqual("cause" in make(), false);
  });
}

test("a LinkError says which peer, and where, as far as it is known", () => {
  const { peer, address } = new LinkError("closed", "x", { peer: "b~1", address: "127.0.0.1:1" });
  deepStrictEqual([peer, address], ["b~1", "127.0.0.1:1"]);
  deepStrictEqual(new LinkError("closed", "x").peer, undefined);
});
