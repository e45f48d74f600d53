import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import { ping, publish, SessionClient, subscribe } from "./session_client.ts";

const none = undefined;
const LIMITED = { messagesPerSecondMax: 10, messagesBurstMax: 2 } as const;

test("Session refuses what is over the rate, and takes messages again later", () => {
  const client = SessionClient.welcomed(LIMITED).says(ping(1), ping(2), ping(3)).says(ping(4));
  deepStrictEqual(client.heardBriefly(), ["pong:1", "pong:2", "rate_limited:3", "rate_limited:4"]);
  client.now += 100;
  deepStrictEqual(client.says(ping(5), ping(6)).heardBriefly(), ["pong:5", "rate_limited:6"]);
});

test("Session answers a flood without ids once", () => {
  const client = SessionClient.welcomed(LIMITED);
  for (let count = 0; count < 1_000; count++) client.says(publish("a", count), { type: "dance" });
  deepStrictEqual(client.heardBriefly(), ["unknown_type:", "rate_limited:"]);
  const limited = client.asked().map((output) => output.kind === "limited" ? output.count : 0);
  deepStrictEqual(limited.reduce((sum, count) => sum + count), 1_998);
  client.now += 100;
  client.says(publish("a", 1), publish("a", 2), publish("a", 3));
  deepStrictEqual(client.heardBriefly(), ["rate_limited:"]);
  const [counted, again] = client.asked();
  deepStrictEqual([counted, again?.kind], [{ kind: "limited", count: 2 }, "publish"]);
});

test("Session counts binary frames and requests that fail towards the rate", () => {
  const client = SessionClient.welcomed(LIMITED).sends(encodeBinaryPublish("a", new Uint8Array(1)));
  deepStrictEqual(client.says({ type: "dance" }, ping(1)).heardBriefly(), [
    "unknown_type:",
    "rate_limited:1",
  ]);
});

test("Session has no rate limit unless it is told one", () => {
  const client = SessionClient.welcomed();
  for (let count = 0; count < 20_000; count++) client.says(publish("a", count));
  deepStrictEqual(client.heard(), []);
});

test("Session closes an idle client, and none that talks", () => {
  const client = SessionClient.welcomed({ idleTimeoutMs: 1_000 });
  strictEqual(client.session.deadline, 2_000);
  client.waits(900).says(ping(1)).waits(999);
  deepStrictEqual(client.asked(), []);
  strictEqual(client.session.deadline, 2_900);
  client.waits(1).isClosedWith(4408);
  strictEqual(client.session.deadline, none);
});

test("Session counts a client as talking while its request is undecided", () => {
  const client = SessionClient.welcomed({ idleTimeoutMs: 1_000, authorizes: true });
  client.says(publish("a", 1)).waits(900).says(ping(1)).waits(900);
  deepStrictEqual(client.askedBriefly(), ["authorize"]);
});

test("Session never wants to be woken unless it is told a limit", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1)).confirms("a");
  strictEqual(client.session.deadline, none);
  deepStrictEqual(client.waits(1e9).asked().length, 1);
});
