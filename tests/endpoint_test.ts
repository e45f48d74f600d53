import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Channels } from "../src/channels.ts";
import { Endpoint } from "../src/endpoint.ts";
import { FakeSocket } from "./support/fake_socket.ts";

const LOOPBACK = { port: 0, hostname: "127.0.0.1" };

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
