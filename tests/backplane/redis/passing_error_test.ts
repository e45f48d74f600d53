import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { mayPass } from "../../../src/backplane/redis/passing_error.ts";
import { toRedisError } from "../../../src/backplane/redis/reply_error.ts";
import { RespError } from "../../../src/backplane/redis/resp.ts";
import {
  RedisError,
  type RedisErrorCode,
  TcpError,
  type TcpErrorCode,
} from "../../../src/errors.ts";

const ANSWERS: readonly (readonly [answer: string, isPassing: boolean])[] = [
  ["LOADING Redis is loading the dataset in memory", true],
  ["CLUSTERDOWN The cluster is down", true],
  ["READONLY You can't write against a read only replica.", true],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true],
  ["BUSY Redis is busy running a script.", true],
  ["ERR max number of clients reached", true],
  ["DENIED Redis is running in protected mode", false],
  ["WRONGPASS invalid username-password pair or user is disabled.", false],
  ["NOAUTH Authentication required.", false],
  ["NOPERM No permissions to access a channel", false],
  ["ERR DB index is out of range", false],
  ["ERR This instance has cluster support disabled", false],
];

for (const [answer, isPassing] of ANSWERS) {
  test(`${isPassing ? "time" : "somebody"} has to mend "${answer}"`, () => {
    const context = { action: "begin", server: "127.0.0.1:6379" };
    strictEqual(mayPass(toRedisError(new RespError(answer), context)), isPassing);
  });
}

const DIALS: readonly (readonly [code: TcpErrorCode, isPassing: boolean])[] = [
  ["refused", true],
  ["reset", true],
  ["timed_out", true],
  ["unreachable", true],
  ["name_unknown", true],
  ["tls_failed", false],
  ["address_not_available", false],
];

for (const [code, isPassing] of DIALS) {
  test(`${isPassing ? "time" : "somebody"} has to mend a connection that is ${code}`, () => {
    const cause = new TcpError(code, "Cannot connect");
    strictEqual(mayPass(new RedisError("connect_failed", "Cannot connect", { cause })), isPassing);
  });
}

const ENDS: readonly (readonly [code: RedisErrorCode, isPassing: boolean])[] = [
  ["connection_lost", true],
  ["timed_out", true],
  ["not_redis", false],
  // A Sentinel that does not know the name.
  ["server_error", false],
];

for (const [code, isPassing] of ENDS) {
  test(`${isPassing ? "time" : "somebody"} has to mend ${code}`, () => {
    strictEqual(mayPass(new RedisError(code, "Cannot speak with Redis")), isPassing);
  });
}
