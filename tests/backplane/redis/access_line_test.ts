import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { accessLine, explain } from "../../../src/backplane/redis/access_line.ts";
import { resolveRedisOptions } from "../../../src/backplane/redis/redis_options.ts";
import { RedisError } from "../../../src/errors.ts";
import { readSource } from "../../support/source_file.ts";

const ACCESS = { username: "chorus", password: "secret" };
const SINGLE = resolveRedisOptions(ACCESS);

test("the access lists of the README are what the errors tell to grant", () => {
  const lines = readSource("README.md").text.match(/^ACL SETUSER .*$/gm);
  const sentinels = { name: "mymaster", nodes: ["a:26379"] };
  deepStrictEqual(lines, [
    accessLine(SINGLE),
    accessLine(resolveRedisOptions({ ...ACCESS, sentinels })),
    accessLine(resolveRedisOptions({ ...ACCESS, cluster: ["a:7000"] })),
  ]);
});

test("an error that is explained stays what it is, and tells what to do", () => {
  const denied = new RedisError("no_permission", "Cannot PUBLISH", {
    server: "a:1",
    reply: "NOPERM",
  });
  const explained = explain(denied, SINGLE) as RedisError;
  deepStrictEqual([explained.code, explained.server, explained.reply], [
    "no_permission",
    "a:1",
    "NOPERM",
  ]);
  strictEqual(
    explained.message,
    `Cannot PUBLISH; what this backplane needs is granted by: ${accessLine(SINGLE)}`,
  );
  const other = new RedisError("loading", "Cannot PUBLISH");
  strictEqual(explain(other, SINGLE), other);
});

test("what a Sentinel refuses is told with the options that are for it", () => {
  const sentinels = { name: "mymaster", nodes: ["a:26379"] };
  const settings = resolveRedisOptions({ ...ACCESS, sentinels });
  const told = (code: RedisError["code"], server: string): string => {
    return explain(new RedisError(code, "No", { server }), settings).message;
  };
  deepStrictEqual([told("auth_failed", "a:26379"), told("auth_failed", "a:6379")], [
    'No; check "sentinels.username" and "sentinels.password"',
    'No; check "username" and "password"',
  ]);
  match(told("auth_required", "a:26379"), /set "sentinels\.password"/);
  strictEqual(told("no_permission", "a:26379"), "No");
});
