import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../../../src/backplane/redis/connection.ts";
import type { ConnectionInput } from "../../../src/backplane/redis/connection_input.ts";
import type { ConnectionOutput } from "../../../src/backplane/redis/connection_output.ts";
import {
  type ConnectionSettings,
  DEFAULT_CONNECTION_SETTINGS,
} from "../../../src/backplane/redis/connection_settings.ts";
import { RespMessage } from "../../../src/backplane/redis/resp.ts";
import type { RedisError } from "../../../src/errors.ts";
import { bulk, bulks, confirmation, HELLO_REPLY } from "../../support/redis_wire.ts";

const ADDRESS = "127.0.0.1:6379";
const SECRET = "pa$$word";
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A connection in virtual time, and the server that the test plays. */
class Rig {
  now = 0;
  readonly connection: Connection<string>;
  readonly #written: Uint8Array[] = [];
  readonly #outputs: ConnectionOutput<string>[] = [];

  constructor(settings: Partial<ConnectionSettings> = {}) {
    const all = { ...DEFAULT_CONNECTION_SETTINGS, ...settings };
    this.connection = new Connection(all, ADDRESS, this.now);
    this.#collect();
  }

  /** A rig whose connection is up, and has told so. */
  static up(settings: Partial<ConnectionSettings> = {}): Rig {
    const rig = new Rig(settings);
    if ((settings.protocol ?? 3) === 3) rig.serverSays(HELLO_REPLY);
    else rig.serverSays("+PONG\r\n");
    strictEqual(rig.outputs().at(-1)?.kind, "up");
    rig.written();
    return rig;
  }

  handle(input: ConnectionInput<string>): void {
    this.connection.handle(input, this.now);
    this.#collect();
  }

  serverSays(wire: string): void {
    this.handle({ kind: "bytes", chunk: encode(wire) });
  }

  command(ticket: string | undefined, ...command: (string | Uint8Array)[]): void {
    this.handle({ kind: "command", command, ticket });
  }

  /** Lets time pass, with a wake whenever the connection wants one. */
  passes(ms: number): void {
    const end = this.now + ms;
    for (let at = this.connection.deadline; at !== undefined && at <= end;) {
      this.now = Math.max(this.now, at);
      this.handle({ kind: "wake" });
      at = this.connection.deadline;
    }
    this.now = end;
  }

  /** What the connection wrote, after the tick has ended. */
  written(): string {
    this.passes(0);
    return this.#written.splice(0).map((part) => new TextDecoder().decode(part)).join("");
  }

  /** What the connection told, but for what it wrote. */
  outputs(): ConnectionOutput<string>[] {
    return this.#outputs.splice(0);
  }

  /** Why it is down. */
  downError(): RedisError {
    const down = this.outputs().at(-1);
    if (down?.kind !== "down") throw new Error(`not down but ${down?.kind}`);
    return down.error;
  }

  #collect(): void {
    for (const output of this.connection.take()) {
      if (output.kind === "write") this.#written.push(...output.parts);
      else this.#outputs.push(output);
    }
  }
}

test("a connection greets with HELLO, the user, the password and its name in one command", () => {
  const rig = new Rig({ username: "chorus", password: SECRET, clientName: "node-a" });
  strictEqual(
    rig.written(),
    bulks("HELLO", "3", "AUTH", "chorus", SECRET, "SETNAME", "node-a"),
  );
  rig.serverSays(HELLO_REPLY);
  deepStrictEqual(rig.outputs(), [{
    kind: "up",
    server: { protocol: 3, version: "7.0.15", mode: undefined, role: "master" },
  }]);
});

test("a connection without options says HELLO alone, and a password alone is the default user's", () => {
  strictEqual(new Rig().written(), bulks("HELLO", "3"));
  strictEqual(new Rig({ password: "x" }).written(), bulks("HELLO", "3", "AUTH", "default", "x"));
});

test("a connection selects its database before it is up", () => {
  const rig = new Rig({ database: 3 });
  rig.written();
  rig.serverSays(HELLO_REPLY);
  deepStrictEqual(rig.outputs(), []);
  strictEqual(rig.written(), bulks("SELECT", "3"));
  rig.serverSays("+OK\r\n");
  strictEqual(rig.outputs()[0]?.kind, "up");
});

test("a connection goes on in RESP2 where HELLO is refused", () => {
  for (
    const refusal of [
      "-ERR unknown command 'HELLO'\r\n",
      "-NOPROTO unsupported protocol version\r\n",
      "-NOPERM this user has no permissions to run the 'hello' command\r\n",
    ]
  ) {
    const rig = new Rig({ username: "u", password: SECRET, clientName: "node-a", database: 1 });
    rig.written();
    rig.serverSays(refusal);
    const steps = [
      [bulks("AUTH", "u", SECRET), "+OK\r\n"],
      // A server that knows no names is as good.
      [bulks("CLIENT", "SETNAME", "node-a"), "-ERR unknown command 'CLIENT'\r\n"],
      [bulks("SELECT", "1"), "+OK\r\n"],
      [bulks("PING"), "+PONG\r\n"],
    ] as const;
    for (const [command, reply] of steps) {
      strictEqual(rig.written(), command);
      deepStrictEqual(rig.outputs(), []);
      rig.serverSays(reply);
    }
    const [up] = rig.outputs();
    strictEqual(up?.kind === "up" && up.server.protocol, 2);
  }
});

test("a connection takes a password that an old server does not ask for", () => {
  const rig = new Rig({ protocol: 2, password: SECRET });
  strictEqual(rig.written(), bulks("AUTH", SECRET));
  rig.serverSays("-ERR AUTH <password> called without any password configured for the user\r\n");
  strictEqual(rig.written(), bulks("PING"));
  rig.serverSays("-LOADING Redis is loading the dataset in memory\r\n");
  strictEqual(rig.outputs()[0]?.kind, "up");
});

const REFUSALS: readonly (readonly [reply: string, code: RedisError["code"]])[] = [
  ["-WRONGPASS invalid username-password pair or user is disabled.", "auth_failed"],
  ["-NOAUTH HELLO must be called with the client already authenticated", "auth_required"],
  ["-DENIED Redis is running in protected mode", "refused"],
  ["-ERR max number of clients reached", "refused"],
  ["HTTP/1.1 400 Bad Request", "not_redis"],
  [`-ERR invalid password`, "auth_failed"],
  ["+OK", "not_redis"],
];

test("a connection that is turned away says why, and hangs up", () => {
  for (const [reply, code] of REFUSALS) {
    const rig = new Rig({ password: SECRET });
    rig.written();
    rig.serverSays(`${reply}\r\n`);
    const [hangup, down, ...more] = rig.outputs();
    deepStrictEqual([hangup?.kind, down?.kind, more], ["hangup", "down", []], reply);
    ok(down?.kind === "down" && down.error.server === ADDRESS);
    strictEqual(down.error.code, code, reply);
    strictEqual(rig.connection.deadline, undefined);
  }
});

test("no message shows a password, not even the server's own words", () => {
  const rig = new Rig({ protocol: 2, password: SECRET, username: "u" });
  rig.serverSays(`-ERR unknown command 'AUTH', with args beginning with: 'u' '${SECRET}'\r\n`);
  const unknown = rig.downError();
  strictEqual(unknown.code, "server_error");
  const other = new Rig({ protocol: 2, password: SECRET });
  other.serverSays(`-WRONGPASS no, ${SECRET} is wrong\r\n`);
  for (const error of [unknown, other.downError()]) {
    ok(!`${error.message} ${JSON.stringify(error)} ${error.stack}`.includes(SECRET));
  }
});

test("a greeting that takes too long ends the connection", () => {
  const rig = new Rig({ handshakeTimeoutMs: 500 });
  rig.passes(499);
  deepStrictEqual(rig.outputs(), []);
  rig.passes(1);
  strictEqual(rig.downError().code, "timed_out");
});

test("commands of one tick are written at its end, joined, and answers find their tickets", () => {
  const rig = Rig.up();
  rig.command("a", "GET", "x");
  rig.command(undefined, "PUBLISH", "news", "1");
  rig.command("b", "PUBLISH", "news", Uint8Array.of(0x32));
  strictEqual(rig.connection.deadline, -Infinity);
  deepStrictEqual(rig.outputs(), []);
  strictEqual(
    rig.written(),
    bulks("GET", "x") + bulks("PUBLISH", "news", "1") + bulks("PUBLISH", "news", "2"),
  );
  strictEqual(rig.connection.pendingCommands, 3);
  rig.serverSays("$-1\r\n:0\r\n:2\r\n");
  deepStrictEqual(rig.outputs(), [
    { kind: "reply", ticket: "a", value: null },
    { kind: "reply", ticket: "b", value: 2 },
  ]);
  strictEqual(rig.connection.pendingCommands, 0);
});

const REPLIES: readonly (readonly [reply: string, facts: Partial<RedisError>])[] = [
  ["NOPERM this user has no permissions", { code: "no_permission", reply: "NOPERM" }],
  ["LOADING Redis is loading", { code: "loading", reply: "LOADING" }],
  ["MOVED 3999 10.0.0.1:6381", { code: "moved", slot: 3999, address: "10.0.0.1:6381" }],
  ["MOVED 1 :7001", { code: "moved", slot: 1, address: "127.0.0.1:7001" }],
  ["ASK 2 [::1]:6381", { code: "ask", slot: 2, address: "[::1]:6381" }],
  ["CLUSTERDOWN The cluster is down", { code: "cluster_down" }],
  ["READONLY You can't write against a read only replica.", { code: "read_only" }],
  ["NOAUTH Authentication required.", { code: "auth_required" }],
  ["TRYAGAIN Multiple keys", { code: "server_error", reply: "TRYAGAIN" }],
  ["ERR syntax error", { code: "server_error", reply: "ERR" }],
];

test("an error fails its command with its code and facts, and the next answer is in step", () => {
  const rig = Rig.up();
  for (const [reply, facts] of REPLIES) {
    rig.command("bad", "PUBLISH", "a", "b");
    rig.command("good", "GET", "a");
    rig.serverSays(`-${reply}\r\n$1\r\nx\r\n`);
    const [failed, good] = rig.outputs();
    ok(failed?.kind === "failed" && failed.ticket === "bad");
    for (const [name, value] of Object.entries(facts)) {
      strictEqual(failed.error[name as keyof RedisError], value, `${reply} ${name}`);
    }
    match(failed.error.message, /^Cannot PUBLISH on Redis at 127\.0\.0\.1:6379: it answered/);
    deepStrictEqual(good, { kind: "reply", ticket: "good", value: encode("x") });
  }
});

test("a command without a ticket tells only that it failed", () => {
  const rig = Rig.up();
  rig.command(undefined, "PUBLISH", "a", "b");
  rig.serverSays("-READONLY no\r\n");
  const [failed] = rig.outputs();
  ok(failed?.kind === "failed" && failed.ticket === undefined);
});

test("subscriptions are confirmed in RESP3 between answers, and messages come through", () => {
  const rig = Rig.up();
  rig.command("a", "GET", "x");
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["news", "chat"] });
  rig.handle({ kind: "subscription", verb: "SSUBSCRIBE", channels: ["shard"] });
  rig.command("b", "GET", "y");
  strictEqual(
    rig.written(),
    bulks("GET", "x") + bulks("SUBSCRIBE", "news", "chat") + bulks("SSUBSCRIBE", "shard") +
      bulks("GET", "y"),
  );
  rig.serverSays(
    ":1\r\n" + confirmation("subscribe", "news", 1) +
      `>3\r\n${bulk("message")}${bulk("news")}${bulk("hi")}` +
      confirmation("subscribe", "chat", 2) + confirmation("ssubscribe", "shard", 1) +
      `:2\r\n>3\r\n${bulk("smessage")}${bulk("shard")}${bulk("ho")}`,
  );
  deepStrictEqual(rig.outputs(), [
    { kind: "reply", ticket: "a", value: 1 },
    { kind: "subscribed", channel: "news", isSharded: false },
    new RespMessage("news", encode("hi"), false),
    { kind: "subscribed", channel: "chat", isSharded: false },
    { kind: "subscribed", channel: "shard", isSharded: true },
    { kind: "reply", ticket: "b", value: 2 },
    new RespMessage("shard", encode("ho"), true),
  ]);
});

test("in RESP2 arrays are answers before the first subscription and after the last one", () => {
  const rig = Rig.up({ protocol: 2 });
  const looksLikeMessage = bulks("message", "news", "hi");
  rig.command("before", "LRANGE", "x", "0", "-1");
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["news"] });
  rig.serverSays(looksLikeMessage + confirmation("subscribe", "news", 1, "*") + looksLikeMessage);
  rig.handle({ kind: "subscription", verb: "UNSUBSCRIBE", channels: ["news"] });
  rig.command("after", "LRANGE", "x", "0", "-1");
  rig.serverSays(confirmation("unsubscribe", "news", 0, "*") + looksLikeMessage);
  const value = ["message", "news", "hi"].map(encode);
  deepStrictEqual(rig.outputs(), [
    { kind: "reply", ticket: "before", value },
    { kind: "subscribed", channel: "news", isSharded: false },
    new RespMessage("news", encode("hi"), false),
    { kind: "unsubscribed", channel: "news", isSharded: false, isAsked: true },
    { kind: "reply", ticket: "after", value },
  ]);
});

test("a subscription that is refused fails for all of its channels, and for no others", () => {
  const rig = Rig.up();
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["a", "b"] });
  rig.handle({ kind: "subscription", verb: "SSUBSCRIBE", channels: ["c"] });
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["d"] });
  rig.serverSays(
    "-NOPERM this user has no permissions to access one of the channels\r\n" +
      "-MOVED 7365 127.0.0.1:7002\r\n" + confirmation("subscribe", "d", 1),
  );
  const [first, second, third] = rig.outputs();
  ok(first?.kind === "subscription_failed" && first.error.code === "no_permission");
  deepStrictEqual([first.channels, first.isSharded], [["a", "b"], false]);
  ok(second?.kind === "subscription_failed" && second.error.slot === 7365);
  deepStrictEqual([second.channels, second.isSharded], [["c"], true]);
  strictEqual(third?.kind, "subscribed");
});

test("a server that takes a sharded subscription away by itself is understood", () => {
  const rig = Rig.up();
  rig.command("a", "GET", "x");
  rig.handle({ kind: "subscription", verb: "SUNSUBSCRIBE", channels: ["mine"] });
  rig.serverSays(
    confirmation("sunsubscribe", "moved", 0) + ":1\r\n" + confirmation("sunsubscribe", "mine", 0),
  );
  deepStrictEqual(rig.outputs(), [
    { kind: "unsubscribed", channel: "moved", isSharded: true, isAsked: false },
    { kind: "reply", ticket: "a", value: 1 },
    { kind: "unsubscribed", channel: "mine", isSharded: true, isAsked: true },
  ]);
  strictEqual(rig.connection.pendingCommands, 0);
});

test("pushes of unknown kinds are counted and change nothing", () => {
  const rig = Rig.up();
  rig.command("a", "GET", "x");
  rig.serverSays(`>2\r\n${bulk("invalidate")}*-1\r\n>0\r\n>1\r\n:1\r\n:5\r\n`);
  deepStrictEqual(rig.outputs(), [{ kind: "reply", ticket: "a", value: 5 }]);
  strictEqual(rig.connection.unknownPushes, 3);
});

test("a silent server is asked whether it is there, and given up when it does not answer", () => {
  const rig = Rig.up({ pingIntervalMs: 1_000, commandTimeoutMs: 2_000 });
  rig.passes(999);
  strictEqual(rig.written(), "");
  rig.passes(1);
  strictEqual(rig.written(), bulks("PING"));
  rig.passes(500);
  rig.serverSays("+PONG\r\n");
  rig.passes(1_000);
  strictEqual(rig.written(), bulks("PING"));
  deepStrictEqual(rig.outputs(), []);
  rig.passes(1_999);
  deepStrictEqual(rig.outputs(), []);
  rig.passes(1);
  const error = rig.downError();
  strictEqual(error.code, "timed_out");
  match(error.message, /PING was not answered for 2000 ms/);
});

test("whatever a server answers to a ping of the connection's own, it is there", () => {
  const rig = Rig.up();
  rig.passes(1_000);
  rig.serverSays("-LOADING Redis is loading the dataset in memory\r\n");
  deepStrictEqual(rig.outputs(), []);
  strictEqual(rig.connection.pendingCommands, 0);
});

test("in RESP2 a ping is answered by a push while there are subscriptions", () => {
  const rig = Rig.up({ protocol: 2 });
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["news"] });
  rig.serverSays(confirmation("subscribe", "news", 1, "*"));
  rig.passes(1_000);
  match(rig.written(), /PING/);
  rig.serverSays(bulks("pong", ""));
  rig.passes(500);
  strictEqual(rig.outputs().at(-1)?.kind, "subscribed");
  strictEqual(rig.connection.pendingCommands, 0);
});

test("a long queue is waited for as long as answers come", () => {
  const rig = Rig.up({ commandTimeoutMs: 2_000 });
  for (const ticket of ["a", "b", "c"]) rig.command(ticket, "GET", ticket);
  for (const ticket of ["a", "b"]) {
    rig.passes(1_900);
    rig.serverSays(":1\r\n");
    deepStrictEqual(rig.outputs(), [{ kind: "reply", ticket, value: 1 }]);
  }
  // Messages are no answers.
  rig.passes(1_900);
  rig.serverSays(`>3\r\n${bulk("message")}${bulk("a")}${bulk("b")}`);
  rig.passes(100);
  const [, hangup, failed, down] = rig.outputs();
  deepStrictEqual([hangup?.kind, down?.kind], ["hangup", "down"]);
  ok(failed?.kind === "failed" && failed.ticket === "c" && failed.error.code === "timed_out");
});

test("time in which this process stood still is no silence of the server's", () => {
  const rig = Rig.up({ commandTimeoutMs: 2_000 });
  rig.command("a", "GET", "x");
  rig.written();
  rig.now += 60_000;
  rig.handle({ kind: "wake" });
  deepStrictEqual(rig.outputs(), []);
  rig.serverSays(":1\r\n");
  strictEqual(rig.outputs()[0]?.kind, "reply");
});

test("at the bound the newest commands are refused and counted, and what waits keeps its place", () => {
  const rig = Rig.up({ queueCommandsMax: 4 });
  for (let count = 0; count < 7; count++) rig.command(`${count}`, "GET", "x");
  const refused = rig.outputs();
  deepStrictEqual(refused.map((output) => output.kind === "failed" && output.ticket), [
    "4",
    "5",
    "6",
  ]);
  ok(refused.every((output) => output.kind === "failed" && output.error.code === "queue_full"));
  strictEqual(rig.connection.refusedCommands, 3);
  rig.serverSays(":0\r\n");
  strictEqual(rig.outputs().length, 1, "not relieved while more than half waits");
  rig.serverSays(":1\r\n");
  deepStrictEqual(rig.outputs().map(({ kind }) => kind), ["reply", "relieved"]);
  rig.command("7", "GET", "x");
  deepStrictEqual(rig.outputs(), []);
});

test("bytes that the server does not take count to the bound as well", () => {
  const rig = Rig.up({ queueBytesMax: 1_000 });
  rig.handle({ kind: "queued", byteLength: 1_000 });
  rig.command("a", "GET", "x");
  strictEqual(rig.outputs()[0]?.kind, "failed");
  rig.handle({ kind: "queued", byteLength: 501 });
  deepStrictEqual(rig.outputs(), []);
  rig.handle({ kind: "queued", byteLength: 0 });
  deepStrictEqual(rig.outputs(), [{ kind: "relieved" }]);
});

test("when the connection ends, what was not answered fails, and then it is down", () => {
  const rig = Rig.up();
  rig.command("a", "GET", "x");
  rig.command(undefined, "PUBLISH", "x", "y");
  rig.handle({ kind: "subscription", verb: "SUBSCRIBE", channels: ["news"] });
  rig.written();
  const cause = new Error("reset by peer");
  rig.handle({ kind: "ended", cause });
  const [hangup, failed, down, ...more] = rig.outputs();
  deepStrictEqual([hangup, more], [{ kind: "hangup", isGraceful: false }, []]);
  ok(failed?.kind === "failed" && failed.ticket === "a");
  ok(down?.kind === "down" && down.error === failed.error && down.unanswered === 3);
  deepStrictEqual([down.error.code, down.error.cause], ["connection_lost", cause]);
  rig.serverSays(":1\r\n");
  rig.handle({ kind: "ended", cause: undefined });
  rig.command("late", "GET", "x");
  const [late, ...later] = rig.outputs();
  ok(late?.kind === "failed" && late.error.code === "closed" && later.length === 0);
});

test("close sends what waits before it hangs up", () => {
  const rig = Rig.up();
  rig.command(undefined, "PUBLISH", "a", "b");
  rig.handle({ kind: "close" });
  strictEqual(rig.written(), bulks("PUBLISH", "a", "b"));
  const [hangup, down] = rig.outputs();
  deepStrictEqual(hangup, { kind: "hangup", isGraceful: true });
  ok(down?.kind === "down" && down.error.code === "closed");
});

test("an answer that nobody asked for, or bytes that are no RESP, end the connection", () => {
  for (const wire of ["+OK\r\n", "-ERR something\r\n", "\x15\x03\x03\0\r\n", "$3\r\nabcdef"]) {
    const rig = Rig.up();
    rig.serverSays(wire);
    strictEqual(rig.downError().code, "not_redis", wire);
  }
});

test("a command before the greeting's end fails, and says that it was too early", () => {
  const rig = new Rig();
  rig.command("early", "GET", "x");
  const [failed] = rig.outputs();
  ok(failed?.kind === "failed" && /not open yet/.test(failed.error.message));
});
