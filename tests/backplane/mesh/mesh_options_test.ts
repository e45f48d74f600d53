import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { type MeshOptions, resolveMeshOptions } from "../../../src/backplane/mesh/mesh_options.ts";

test("without options it is this machine alone, with all defaults", () => {
  const settings = resolveMeshOptions();
  deepStrictEqual({ ...settings }, {
    host: "127.0.0.1",
    port: 5410,
    advertise: undefined,
    seeds: [],
    key: new Uint8Array(0),
    cluster: "chorus",
    tls: undefined,
    handshakeTimeoutMs: 3_000,
    connectTimeoutMs: 3_000,
    reconnectMinMs: 100,
    reconnectMaxMs: 5_000,
    resolveIntervalMs: 30_000,
    linkSilenceMs: 10_000,
    queueBytesMax: 67_108_864,
  });
  ok(Object.isFrozen(settings) && Object.isFrozen(settings.seeds));
});

test("every option is taken over", () => {
  const tls = { cert: "c", key: "k", ca: "a", serverName: "n", requireClientCert: true };
  const options: Required<MeshOptions> = {
    host: "10.0.0.1",
    port: 0,
    advertise: "[fd00::1]:7000",
    peers: ["a.example.org:1", "[::1]:2"],
    secret: "é",
    insecure: false,
    cluster: "blue",
    tls,
    handshakeTimeoutMs: 10,
    connectTimeoutMs: 11,
    reconnectMinMs: 1,
    reconnectMaxMs: 3_600_000,
    resolveIntervalMs: 1_000,
    linkSilenceMs: 6_000,
    queueBytesMax: 16_777_216,
  };
  const { key, seeds, ...settings } = resolveMeshOptions(options);
  const { peers: _peers, secret: _secret, insecure: _insecure, ...rest } = options;
  deepStrictEqual({ ...settings, tls: { ...settings.tls } }, rest);
  deepStrictEqual([...key], [0xc3, 0xa9]);
  deepStrictEqual([...seeds], [
    { hostname: "a.example.org", port: 1 },
    { hostname: "::1", port: 2 },
  ]);
  ok(Object.isFrozen(settings.tls));
});

const ADDRESS = 'must be "host:port" with a port from 1 to 65535';
const integer = (min: number, max: number): string => `must be an integer from ${min} to ${max}`;
const TEXT = "must be a string that is not empty";

/** What is refused, and what the error says is expected. */
const REFUSED: readonly (readonly [option: string, value: unknown, expected: string])[] = [
  ["host", "", TEXT],
  ["host", 1, TEXT],
  ["port", -1, integer(0, 65_535)],
  ["port", 65_536, integer(0, 65_535)],
  ["port", 1.5, integer(0, 65_535)],
  ["port", "5410", integer(0, 65_535)],
  ["port", NaN, integer(0, 65_535)],
  ["advertise", "", ADDRESS],
  ["advertise", "host", ADDRESS],
  ["advertise", ":5410", ADDRESS],
  ["advertise", 5410, ADDRESS],
  ["secret", "", TEXT],
  ["secret", 1, TEXT],
  ["insecure", "yes", "must be true or false"],
  ["cluster", "", TEXT],
  ["cluster", 1, TEXT],
  ["handshakeTimeoutMs", 9, integer(10, 3_600_000)],
  ["handshakeTimeoutMs", 3_600_001, integer(10, 3_600_000)],
  ["connectTimeoutMs", 9, integer(10, 3_600_000)],
  ["connectTimeoutMs", Infinity, integer(10, 3_600_000)],
  ["reconnectMinMs", 0, integer(1, 3_600_000)],
  ["reconnectMaxMs", 99, integer(100, 3_600_000)],
  ["resolveIntervalMs", 999, integer(1_000, 3_600_000)],
  ["linkSilenceMs", 5_999, integer(6_000, 3_600_000)],
  ["queueBytesMax", 16_777_215, integer(16_777_216, 4_294_967_296)],
  ["queueBytesMax", 2 ** 33, integer(16_777_216, 4_294_967_296)],
];

for (const [option, value, expected] of REFUSED) {
  test(`${option} of ${JSON.stringify(value)} is refused, with what is expected`, () => {
    const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
    throws(() => resolveMeshOptions({ [option]: value }), (error: Error) => {
      ok(error instanceof TypeError || error instanceof RangeError);
      strictEqual(
        error.message,
        `Cannot configure mesh: "${option}" ${expected}, received ${shown}`,
      );
      return true;
    });
  });
}

test("a peer that is no address is named by its place", () => {
  throws(() => resolveMeshOptions({ peers: ["a:1", "b"] }), {
    name: "TypeError",
    message: `Cannot configure mesh: "peers[1]" ${ADDRESS}, received "b"`,
  });
  throws(() => resolveMeshOptions({ peers: "a:1" as unknown as string[] }), {
    name: "TypeError",
    message: 'Cannot configure mesh: "peers" must be an array of "host:port", received a:1',
  });
  throws(() => resolveMeshOptions({ peers: [undefined] as unknown as string[] }), TypeError);
});

test("an option that is not known is refused by name, with those that are", () => {
  throws(() => resolveMeshOptions({ seceret: "s" } as MeshOptions), (error: Error) => {
    match(
      error.message,
      /^Cannot configure mesh: "seceret" is not an option, expected one of host, /,
    );
    return true;
  });
});

test("a cluster's name has an end", () => {
  strictEqual(resolveMeshOptions({ cluster: "x".repeat(255) }).cluster.length, 255);
  throws(() => resolveMeshOptions({ cluster: "x".repeat(256) }), {
    name: "RangeError",
    message: 'Cannot configure mesh: "cluster" must have at most 255 characters, received 256',
  });
});

test("TLS needs a certificate and its key, as every node listens", () => {
  for (
    const [tls, name] of [[{ key: "k" }, "cert"], [{ cert: "c" }, "key"], [{}, "cert"]] as const
  ) {
    throws(() => resolveMeshOptions({ tls }), (error: Error) => {
      ok(error instanceof TypeError && error.message.includes(`"tls.${name}"`));
      return true;
    });
  }
});

test("a pause may be longest and shortest at once", () => {
  const { reconnectMinMs, reconnectMaxMs } = resolveMeshOptions({
    reconnectMinMs: 7,
    reconnectMaxMs: 7,
  });
  deepStrictEqual([reconnectMinMs, reconnectMaxMs], [7, 7]);
});

test("without a secret only this machine is listened to, unless it is said to be insecure", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) {
    strictEqual(resolveMeshOptions({ host }).host, host);
  }
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "node.example.org"]) {
    throws(() => resolveMeshOptions({ host }), (error: Error) => {
      ok(error instanceof TypeError);
      match(error.message, /"secret" must be set to listen on "[^"]+".*"insecure" to true/);
      return true;
    });
    throws(() => resolveMeshOptions({ host, insecure: false }), TypeError);
    strictEqual(resolveMeshOptions({ host, insecure: true }).host, host);
    strictEqual(resolveMeshOptions({ host, secret: "s" }).host, host);
  }
});
