import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Channels } from "../src/channels.ts";
import { Endpoint } from "../src/endpoint.ts";
import { serve } from "../src/serve.ts";
import { TestClient } from "./support/client.ts";
import { FakeSocket } from "./support/fake_socket.ts";
import { RawClient } from "./support/raw_client.ts";

const LOOPBACK = { port: 0, hostname: "127.0.0.1" };

test("an endpoint alone subscribes to no channel", async () => {
  const channels = new Channels();
  const endpoint = new Endpoint({ channels });
  await channels.broadcast("to nobody");
  strictEqual(channels.stats().channels, 0);
  await endpoint.stop();
  strictEqual(channels.stats().channels, 0);
});

test("an endpoint that was stopped does not listen", async () => {
  const endpoint = new Endpoint({ channels: new Channels() });
  await endpoint.stop();
  await rejects(endpoint.listen(LOOPBACK), { name: "ClusterError", code: "stopped" });
});

test("an endpoint that is stopped while it begins to listen does not", async () => {
  const endpoint = new Endpoint({ channels: new Channels() });
  const listening = rejects(endpoint.listen(LOOPBACK), { name: "ClusterError", code: "stopped" });
  await endpoint.stop();
  await listening;
});

test("an endpoint that was stopped closes a socket that it is handed", async () => {
  const endpoint = new Endpoint({ channels: new Channels() });
  await endpoint.stop();
  const socket = new FakeSocket();
  endpoint.accept(socket);
  match(socket.log[0]!, /"type":"welcome"/);
  deepStrictEqual(socket.log.slice(1), ["close 1001 The server stops"]);
  socket.fires("close", { code: 1001 });
  strictEqual(endpoint.clientCount, 0);
});

test("P10: a client whose socket throws is gone, and the channel goes on for the others", async () => {
  const channels = new Channels();
  const endpoint = new Endpoint({ channels });
  const [broken, whole] = [new FakeSocket(), new FakeSocket()];
  for (const socket of [broken, whole]) {
    endpoint.accept(socket);
    socket.fires("message", { data: '{"type":"subscribe","channel":"news","id":1}' });
  }
  broken.isBroken = true;
  const news = channels.subscribe("news");
  for (const data of ["one", "two"]) {
    await channels.publish("news", data);
    const { value } = await news[Symbol.asyncIterator]().next();
    strictEqual((value as { data: unknown }).data, data);
  }
  strictEqual(whole.log.filter((line) => line.includes('"type":"message"')).length, 2);
  deepStrictEqual(endpoint.stats().closed, { 1006: 1 });
  whole.fires("close", { code: 1005 });
  news.close();
  await endpoint.stop();
});

test("stats() tells what clients and the application's own code did wrong", async () => {
  const fail = (): never => {
    throw new Error("broken hook");
  };
  const channels = new Channels();
  const server = await serve({ port: 0, channels, authorize: fail, fetch: fail });
  const faults: string[] = [];
  server.endpoint.addEventListener("fault", ({ error }) => faults.push(error.message));
  const answer = await fetch(server.url);
  strictEqual(answer.status, 500);
  await answer.body?.cancel();
  await rejects(
    RawClient.connect({ port: server.port, headers: { "Sec-WebSocket-Key": "short" } }),
  );
  const client = await TestClient.connect(server);
  strictEqual((await client.request({ type: "subscribe", channel: "news" })).code, "forbidden");
  client.raw.frame({ mask: null, payload: "{}" });
  strictEqual((await client.closed).code, 1002);
  const liar = await RawClient.connect(server);
  liar.close(1013, "");
  await liar.closed;
  await server.stop();
  const { upgradesRefused, slowConsumers, protocolErrors, unanswered, failures } = server.stats();
  deepStrictEqual({ upgradesRefused, slowConsumers, protocolErrors, unanswered, failures }, {
    upgradesRefused: 1,
    slowConsumers: 0,
    protocolErrors: 1,
    unanswered: 0,
    failures: 2,
  });
  deepStrictEqual(faults, ["broken hook", "broken hook"]);
});

test("P10: messages over the rate are counted, also those that get no error of their own", async () => {
  const limit = { messagesPerSecondMax: 1, messagesBurstMax: 1 };
  const server = await serve({ port: 0, channels: new Channels(), ...limit });
  const client = await TestClient.connect(server);
  const lines = Array.from({ length: 10 }, () => '{"type":"publish","channel":"news","data":1}');
  client.raw.text(lines.join("\n"));
  strictEqual((await client.next("error")).code, "rate_limited");
  strictEqual(server.stats().rateLimited, 9);
  client.destroy();
  await server.stop();
});

test("P10: a socket that is handed in and reads too slowly is closed with 1013, and counted", async () => {
  const endpoint = new Endpoint({ channels: new Channels(), bufferedBytesMax: 1_048_576 });
  const socket = new FakeSocket();
  endpoint.accept(socket);
  socket.bufferedAmount = 2_000_000;
  socket.fires("message", { data: '{"type":"ping","id":1}' });
  await new Promise((resolve) => setImmediate(resolve));
  match(socket.log.at(-1)!, /^close 1013 Slow consumer/);
  strictEqual(endpoint.stats().slowConsumers, 1);
  socket.fires("close", { code: 1013 });
  await endpoint.stop();
});

test("stop() does not wait for an application that never decides", async () => {
  let authenticate = (): Promise<never> => new Promise(() => {});
  const asked = new Promise<void>((resolve) => {
    authenticate = () => {
      resolve();
      return new Promise(() => {});
    };
  });
  const server = await serve({ port: 0, channels: new Channels(), authenticate });
  const refused = rejects(RawClient.connect({ port: server.port }), { status: 503 });
  await asked;
  await server.stop();
  await refused;
});

test("a hook that comes to its end without a word lets nobody in and allows nothing", async () => {
  const channels = new Channels();
  for (const silence of [undefined, null, Promise.resolve(undefined)]) {
    const gate = await serve({ port: 0, channels, authenticate: () => silence });
    await rejects(RawClient.connect({ port: gate.port }), { status: 401 });
    await gate.stop();

    const doubter = await serve({ port: 0, channels, authorize: () => silence as never });
    const client = await TestClient.connect(doubter);
    strictEqual((await client.request({ type: "subscribe", channel: "a" })).code, "forbidden");
    await doubter.stop();

    const teller = await serve({ port: 0, channels, authenticateToken: () => silence });
    const guest = await RawClient.connect(teller);
    guest.text('{"type":"hello","token":"any"}');
    strictEqual((await guest.closed).code, 4401);
    deepStrictEqual([gate.stats().refused, teller.stats().refused], [1, 1]);
    await teller.stop();
  }
});
