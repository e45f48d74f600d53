import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  dialAddress,
  formatAddress,
  isIpAddress,
  isLoopback,
  isWildcard,
  parseAddress,
} from "../../../src/backplane/mesh/address.ts";

test("a host and a port are read, and written as they were", () => {
  const cases = [
    ["127.0.0.1:5410", "127.0.0.1", 5410],
    ["node-1.example.org:1", "node-1.example.org", 1],
    ["node_1:65535", "node_1", 65_535],
    ["localhost.:80", "localhost.", 80],
    ["[::1]:5410", "::1", 5410],
    ["[fe80::1%eth0]:5410", "fe80::1%eth0", 5410],
    ["[::ffff:10.0.0.1]:5410", "::ffff:10.0.0.1", 5410],
  ] as const;
  for (const [text, hostname, port] of cases) {
    deepStrictEqual(parseAddress(text), { hostname, port });
    strictEqual(formatAddress({ hostname, port }), text);
  }
});

test("whatever is no host and port is refused", () => {
  const texts = [
    "",
    ":",
    ":5410",
    "host",
    "host:",
    "host:0",
    "host:65536",
    "host:99999999999999999999",
    "host:-1",
    "host:1e3",
    "host: 1",
    "host:1 ",
    "ho st:1",
    "-host:1",
    "host-:1",
    "host/path:1",
    "http://host:1",
    "user@host:1",
    "hôte:1",
    "host\n:1",
    "::1:5410",
    "[::1]",
    "[::1:5410",
    "::1]:5410",
    "[]:5410",
    "[host]:5410",
    "[::1%]:5410",
    "[::1]]:5410",
    `${"a".repeat(256)}:1`,
    `[${":".repeat(300)}]:1`,
  ];
  for (const text of texts) strictEqual(parseAddress(text), undefined, text);
});

test("an address is told from a name, which is to be looked up", () => {
  for (const host of ["127.0.0.1", "10.0.0.255", "::1", "fe80::1%eth0", "::"]) {
    strictEqual(isIpAddress(host), true, host);
  }
  for (const host of ["localhost", "1.2.3", "1.2.3.4.5", "a.1.2.3", ""]) {
    strictEqual(isIpAddress(host), false, host);
  }
});

test("only what means this machine alone counts as loopback", () => {
  for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1"]) {
    strictEqual(isLoopback(host), true, host);
  }
  for (
    const host of ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "x127.0.0.1", "127.a", ""]
  ) {
    strictEqual(isLoopback(host), false, host);
  }
});

test("what means every address of this machine is known as such", () => {
  strictEqual(isWildcard("0.0.0.0"), true);
  strictEqual(isWildcard("::"), true);
  strictEqual(isWildcard("127.0.0.1"), false);
});

test("a node that listens on all addresses is dialled where its connection comes from", () => {
  strictEqual(dialAddress(":5410", "10.0.0.7:49152"), "10.0.0.7:5410");
  strictEqual(dialAddress(":5410", "[::1]:49152"), "[::1]:5410");
  strictEqual(dialAddress("10.0.0.9:5410", "10.0.0.7:49152"), "10.0.0.9:5410");
});
