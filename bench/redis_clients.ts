/**
 * The Redis clients that are measured, in one shape.
 *
 * @module
 */

import { createRequire } from "node:module";
import { createConnection } from "node:net";
import { join } from "node:path";
import { RedisClient } from "../src/backplane/redis/redis_client.ts";
import { PEERS_FOLDER } from "./peers.ts";

/**
 * What is measured. Peers give and take payloads as text or as bytes, and have an explicit pipeline
 * with one promise for all answers beside a promise for each: whatever costs least counts. The last
 * is no client: `node:net` alone with a command that is ready, where answers come one by one.
 */
export const CLIENTS = [
  "chorus",
  "ioredis-text",
  "ioredis-bytes",
  "ioredis-pipeline",
  "redis-text",
  "redis-bytes",
  "redis-pipeline",
  "bun-text",
  "socket",
] as const;

/** One of the clients. */
export type ClientName = typeof CLIENTS[number];

/** The cases: what a client does. */
export const CASES = ["pipelined", "one-by-one", "receive"] as const;

/** The name of a case. */
export type CaseName = typeof CASES[number];

/** A message, of which only the length matters. */
export interface Payload {
  /** Its bytes, or its characters. */
  readonly length: number;
}

/** A client, reduced to what is measured. */
export interface BenchClient {
  /** Publishes the payload, in the client's own form, and resolves with its answer. */
  publish(channel: string): Promise<unknown>;
  /** Publishes it so many times at once, and resolves when all are answered. */
  publishMany(channel: string, count: number): Promise<unknown>;
  /** Calls back for each message. Resolves when the server has confirmed it. */
  subscribe(
    channel: string,
    onMessage: (payload: Payload) => void,
  ): Promise<void>;
}

/** Bytes of a payload. */
export const PAYLOAD_BYTES = 128;

const BYTES = new Uint8Array(PAYLOAD_BYTES).fill(120);
const TEXT = "x".repeat(PAYLOAD_BYTES);

/** Whether a case is for a client, on a runtime. */
export function isMeant(name: ClientName, caseName: CaseName, runtime: string): boolean {
  if (name === "bun-text") return runtime === "bun";
  if (name === "socket") return caseName === "one-by-one";
  return !name.endsWith("-pipeline") || caseName === "pipelined";
}

/** Connects a client. Each takes commands of one tick together, where the case gives it any. */
export async function connectClient(
  name: ClientName,
  port: number,
  isPipelined: boolean,
): Promise<BenchClient> {
  switch (name) {
    case "chorus":
      return await connectChorus(port);
    case "ioredis-text":
    case "ioredis-bytes":
    case "ioredis-pipeline":
      return connectIoredis(port, isPipelined, name);
    case "redis-text":
    case "redis-bytes":
    case "redis-pipeline":
      return await connectRedis(port, name);
    case "bun-text":
      return await connectBun(port);
    case "socket":
      return await connectSocket(port);
  }
}

async function connectChorus(port: number): Promise<BenchClient> {
  const client = new RedisClient({ address: { hostname: "127.0.0.1", port } });
  await client.ready;
  return {
    publish: (channel) => client.publish(channel, BYTES),
    publishMany: (channel, count) => each(count, () => client.publish(channel, BYTES)),
    subscribe: (channel, onMessage) => client.subscribe(channel, onMessage),
  };
}

// Only what is used of each peer, written as structure: they are no dependencies.
interface Pipeline {
  publish(channel: string, payload: string): unknown;
}

interface Ioredis {
  publish(channel: string, payload: string | Uint8Array): Promise<number>;
  pipeline(): Pipeline & { exec(): Promise<unknown> };
  subscribe(channel: string): Promise<unknown>;
  on(event: string, callback: (channel: unknown, payload: Payload) => void): void;
}

function connectIoredis(port: number, isPipelined: boolean, name: ClientName): BenchClient {
  const { Redis } = loadPeer("ioredis") as { Redis: new (options: object) => Ioredis };
  const asPipeline = name === "ioredis-pipeline";
  const client = new Redis({ port, enableAutoPipelining: isPipelined && !asPipeline });
  const asBytes = name === "ioredis-bytes";
  const payload = asBytes ? Buffer.from(BYTES) : TEXT;
  const publish = (channel: string): Promise<unknown> => client.publish(channel, payload);
  return {
    publish,
    publishMany: (channel, count) => {
      if (!asPipeline) return each(count, () => publish(channel));
      const pipeline = client.pipeline();
      for (let index = 0; index < count; index++) pipeline.publish(channel, TEXT);
      return pipeline.exec();
    },
    subscribe: async (channel, onMessage) => {
      client.on(asBytes ? "messageBuffer" : "message", (_channel, message) => onMessage(message));
      await client.subscribe(channel);
    },
  };
}

interface NodeRedis {
  connect(): Promise<unknown>;
  publish(channel: string, payload: string | Uint8Array): Promise<number>;
  multi(): Pipeline & { execAsPipeline(): Promise<unknown> };
  subscribe(
    channel: string,
    listener: (payload: Payload) => void,
    asBytes: boolean,
  ): Promise<void>;
}

async function connectRedis(port: number, name: ClientName): Promise<BenchClient> {
  const { createClient } = loadPeer("redis") as { createClient(options: object): NodeRedis };
  const client = createClient({ socket: { host: "127.0.0.1", port } });
  await client.connect();
  const asBytes = name === "redis-bytes";
  const payload = asBytes ? Buffer.from(BYTES) : TEXT;
  const publish = (channel: string): Promise<unknown> => client.publish(channel, payload);
  return {
    publish,
    publishMany: (channel, count) => {
      if (name !== "redis-pipeline") return each(count, () => publish(channel));
      const pipeline = client.multi();
      for (let index = 0; index < count; index++) pipeline.publish(channel, TEXT);
      return pipeline.execAsPipeline();
    },
    subscribe: (channel, onMessage) => client.subscribe(channel, onMessage, asBytes),
  };
}

interface BunRedis {
  connect(): Promise<unknown>;
  publish(channel: string, payload: string): Promise<number>;
  subscribe(channel: string, listener: (payload: string) => void): Promise<unknown>;
}

async function connectBun(port: number): Promise<BenchClient> {
  const { Bun } = globalThis as unknown as { Bun: { RedisClient: new (url: string) => BunRedis } };
  const client = new Bun.RedisClient(`redis://127.0.0.1:${port}`);
  await client.connect();
  return {
    publish: (channel) => client.publish(channel, TEXT),
    publishMany: (channel, count) => each(count, () => client.publish(channel, TEXT)),
    subscribe: async (channel, onMessage) => {
      await client.subscribe(channel, (payload) => onMessage(payload));
    },
  };
}

async function connectSocket(port: number): Promise<BenchClient> {
  const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  let onAnswer: (answer: unknown) => void = () => {};
  socket.on("data", (chunk) => onAnswer(chunk));
  return {
    publish: (channel) => {
      const head = `*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n`;
      socket.write(`${head}$${PAYLOAD_BYTES}\r\n${TEXT}\r\n`);
      return new Promise((resolve) => onAnswer = resolve);
    },
    publishMany: () => Promise.reject(new Error("Cannot measure: answers are not told apart")),
    subscribe: () => Promise.reject(new Error("Cannot measure: messages are not read")),
  };
}

function each(count: number, publish: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, publish));
}

function loadPeer(name: string): unknown {
  return createRequire(join(PEERS_FOLDER, "package.json"))(name);
}
