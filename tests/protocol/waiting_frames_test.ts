import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import {
  asksToPublish,
  ping,
  publish,
  SessionClient,
  subscribe,
  unsubscribe,
} from "./session_client.ts";

test("Session handles what follows a request only when it is decided", () => {
  const client = SessionClient.welcomed({ authorizes: true });
  client.says(ping(1), subscribe("a", 2), ping(3), subscribe("b", 4), ping(5));
  client.says(unsubscribe("a", 6), ping(7)).sends(encodeBinaryPublish("c", Uint8Array.of(1)));
  deepStrictEqual(client.heardBriefly(), ["pong:1"]);
  client.decides(true);
  deepStrictEqual(client.heardBriefly(), ["pong:3"]);
  client.decides(false, "not you");
  deepStrictEqual(client.heard().map(({ id, message }) => message ?? id), [
    "not you",
    5,
    "Unsubscribed before the subscription was confirmed",
    6,
    7,
  ]);
  client.decides(true);
  deepStrictEqual(client.askedBriefly(), [
    "authorize",
    "subscribe",
    "authorize",
    "unsubscribe",
    "authorize",
    "publish",
  ]);
});

test("Session lets frames wait up to its bound, and closes with 1013 past it", () => {
  const client = SessionClient.welcomed({ authorizes: true, waitingFramesMax: 3 });
  client.says(publish("a", 1));
  for (let id = 1; id <= 3; id++) client.says(ping(id));
  deepStrictEqual(client.askedBriefly(), ["authorize"]);
  client.says(ping(4)).isClosedWith(1013);
  deepStrictEqual(client.heard(), []);
});

test("Session lets bytes wait up to its bound, and closes with 1013 past it", () => {
  const client = SessionClient.welcomed({ authorizes: true, waitingBytesMax: 100 });
  client.says(publish("a", 1));
  client.sends(encodeBinaryPublish("a", new Uint8Array(87)));
  deepStrictEqual(client.askedBriefly(), ["authorize"]);
  client.sends(new Uint8Array(1)).isClosedWith(1013);
});

test("Session may have its bound waiting again after it was worked off", () => {
  const client = SessionClient.welcomed({
    authorizes: true,
    waitingFramesMax: 2,
    waitingBytesMax: 2 * JSON.stringify(ping(1)).length,
  });
  for (let round = 0; round < 5; round++) {
    client.says(publish("a", round)).says(ping(1)).says(ping(2)).decides(true);
    deepStrictEqual(client.heardBriefly(), ["pong:1", "pong:2"]);
  }
});

test("Session may have its bound waiting again while it is worked off", () => {
  const frame = JSON.stringify(publish("a", 1));
  const client = SessionClient.welcomed({
    authorizes: true,
    waitingFramesMax: 2,
    waitingBytesMax: 2 * frame.length,
  }).sends(frame).sends(frame).sends(frame);
  for (let round = 0; round < 5; round++) client.decides(true).sends(frame);
  client.decides(true).decides(true).decides(true);
  strictEqual(client.asked().filter((output) => output.kind === "publish").length, 8);
});

test("Session works off 4,000 frames that waited, in order", () => {
  const client = SessionClient.welcomed({ authorizes: true });
  client.says(publish("a", "first"));
  for (let id = 0; id < 4_000; id++) client.says(id % 100 === 7 ? publish("a", id) : ping(id));
  const ids: unknown[] = [];
  for (let round = 0; round <= 40; round++) {
    client.decides(true);
    ids.push(...client.heard().map((said) => said.id));
  }
  deepStrictEqual(ids, Array.from({ length: 4_000 }, (_, id) => id).filter((id) => id % 100 !== 7));
  strictEqual(client.asked().filter((output) => output.kind === "publish").length, 41);
});

test("Session keeps a copy of bytes that wait", () => {
  const client = SessionClient.welcomed({ authorizes: true }).says(publish("a", 1));
  const frame = encodeBinaryPublish("b", Uint8Array.of(7));
  client.sends(frame);
  frame.fill(0);
  client.decides(true).decides(true);
  const [data, isText] = [Uint8Array.of(7), false];
  const request = { channel: "b", data, isText, id: undefined, qos: 0, exclude: false } as const;
  deepStrictEqual(client.asked().at(-1), asksToPublish(request));
});

test("Session closes with 1007 on a broken frame behind a request that was undecided", () => {
  const client = SessionClient.welcomed({ authorizes: true });
  client.says(publish("a", 1)).sends("broken").says(ping(1)).decides(true);
  client.isClosedWith(1007);
  deepStrictEqual(client.heard(), []);
});
