import { match, strictEqual } from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { TcpError } from "../../src/errors.ts";
import { toListenError } from "../../src/runtime/listen_error.ts";
import { loadTcp } from "../../src/runtime/load_tcp.ts";

const ACTION = "listen on 127.0.0.1:80";

const CAUSES: readonly (readonly [cause: unknown, message: string])[] = [
  [fail("EADDRINUSE", "Failed to listen at 127.0.0.1"), `Cannot ${ACTION}: the port is in use`],
  [
    fail("EADDRNOTAVAIL", "listen"),
    `Cannot ${ACTION}: the address is not this machine's, or may not be bound`,
  ],
  [fail("ENOTFOUND", "getaddrinfo"), `Cannot ${ACTION}: the name has no address`],
  [new Error("no start line"), `Cannot ${ACTION}: no start line`],
  [
    new TcpError("tls_failed", `Cannot ${ACTION}: twice`, { cause: new Error("no start line") }),
    `Cannot ${ACTION}: no start line`,
  ],
  ["odd", `Cannot ${ACTION}: odd`],
];

function fail(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

test("a port that cannot be bound is told in words that say what to mend", () => {
  for (const [cause, message] of CAUSES) {
    const error = toListenError(ACTION, cause);
    strictEqual(error.code, "listen_failed");
    strictEqual(error.message, message);
    strictEqual(error.cause, cause);
  }
});

test("a port in use is called so on every runtime", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  const tcp = await loadTcp();
  const open = (): never => {
    throw new Error("nobody comes");
  };
  try {
    await tcp.listen({ hostname: "127.0.0.1", port }, {}, open);
  } catch (error) {
    match(toListenError(ACTION, error).message, /: the port is in use$/);
  } finally {
    await new Promise((resolve) => taken.close(resolve));
  }
});
