/**
 * A bare relay: the least program on `node:http` and `node:net` that does at all what the cases of
 * `npm run bench` ask of a node. What a node takes beyond it is what Chorus costs; what the relay
 * takes beyond bare writes is what the runtime costs.
 *
 *     bun bench/relay.ts          prints the port where it waits for the other node
 *     bun bench/relay.ts PORT     is the other node
 *
 * A client subscribes and publishes with the frames that `wsload` sends. A message is encoded once,
 * into the frame that all its subscribers on both nodes get. The messages of a tick leave in one
 * write to each subscriber of their channel, and in one to the other node.
 *
 * Left out is what makes a server of it: positions and the log, order, interest (the other node gets
 * everything), confirmed subscriptions, membership, heartbeats, presence, limits, slow clients,
 * validation, failures, clients that leave or do not await the handshake, control frames, text that
 * is not ASCII or is to be escaped, and messages of 64 KiB and more.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import process from "node:process";
import { OPCODE, unmask } from "../src/edge/websocket/frame.ts";
import { acceptKey, encodeAcceptance } from "../src/edge/websocket/handshake.ts";

/** Of a record between nodes, what stands before the channel's name: its length, and the name's. */
const RECORD_HEAD_BYTES = 6;
const HOST = "127.0.0.1";

/** What a client says. */
type Request =
  | { readonly type: "subscribe"; readonly channel: string }
  | { readonly type: "publish"; readonly channel: string; readonly data: string };

interface Channel {
  readonly subscribers: Socket[];
  /** What was published since the last flush. */
  frames: Buffer[];
}

/** One of two nodes. */
class Relay {
  readonly #channels = new Map<string, Channel>();
  #link: Socket | undefined;
  #records: Buffer[] = [];
  #due: Channel[] = [];
  #isFlushing = false;

  /** Takes a client, whose handshake is done. */
  addClient(socket: Socket): void {
    readWhole(socket, (bytes, at) => this.#takeFrame(socket, bytes, at));
  }

  /** Takes the link to the other node. */
  addLink(socket: Socket): void {
    this.#link = socket;
    readWhole(socket, (bytes, at) => this.#takeRecord(bytes, at));
    report({ event: "linked" });
  }

  #takeFrame(client: Socket, bytes: Buffer, at: number): number {
    if (bytes.length < at + 2) return -1;
    const length = bytes[at + 1]! & 127;
    const start = at + (length < 126 ? 6 : 8);
    if (bytes.length < start) return -1;
    const end = start + (length < 126 ? length : bytes.readUInt16BE(at + 2));
    if (bytes.length < end) return -1;
    unmask(bytes, start, end, start - 4);
    const isText = (bytes[at]! & 15) === OPCODE.text;
    if (isText) this.#perform(client, JSON.parse(bytes.toString("latin1", start, end)) as Request);
    return end;
  }

  #takeRecord(bytes: Buffer, at: number): number {
    const nameAt = at + RECORD_HEAD_BYTES;
    if (bytes.length < nameAt) return -1;
    const end = at + bytes.readUInt32BE(at);
    if (bytes.length < end) return -1;
    const frameAt = nameAt + bytes.readUInt16BE(at + 4);
    this.#deliver(bytes.toString("latin1", nameAt, frameAt), bytes.subarray(frameAt, end));
    return end;
  }

  #perform(client: Socket, request: Request): void {
    const { type, channel } = request;
    if (type === "subscribe") return this.#subscribe(client, channel);
    const frame = encodeFrame(`{"type":"message","channel":"${channel}","data":"${request.data}"}`);
    this.#deliver(channel, frame);
    this.#records.push(encodeRecordHead(channel, frame), frame);
  }

  #subscribe(client: Socket, name: string): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) this.#channels.set(name, { subscribers: [client], frames: [] });
    else channel.subscribers.push(client);
    client.write(encodeFrame(`{"type":"subscribed","channel":"${name}"}`));
  }

  #deliver(name: string, frame: Buffer): void {
    const channel = this.#channels.get(name);
    if (channel?.frames.push(frame) === 1) this.#due.push(channel);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    const [records, due] = [this.#records, this.#due];
    [this.#records, this.#due, this.#isFlushing] = [[], [], false];
    if (records.length > 0) this.#link?.write(join(records));
    for (const channel of due) {
      const bytes = join(channel.frames);
      channel.frames = [];
      for (const socket of channel.subscribers) socket.write(bytes);
    }
  }
}

/**
 * Cuts what comes into whole pieces, and keeps what is left until the rest of it comes.
 *
 * @param take Takes the piece at an offset and returns where it ends, or -1 where it is not whole.
 */
function readWhole(socket: Socket, take: (bytes: Buffer, at: number) => number): void {
  let rest: Buffer | undefined;
  socket.setNoDelay(true);
  // A connection that fails shows as deliveries that are lost.
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    for (let end = take(bytes, 0); end !== -1; end = take(bytes, at)) at = end;
    rest = at === bytes.length ? undefined : bytes.subarray(at);
  });
}

function encodeFrame(text: string): Buffer {
  const start = text.length < 126 ? 2 : 4;
  const frame = Buffer.allocUnsafe(start + text.length);
  frame[0] = 0x80 | OPCODE.text;
  if (start === 2) frame[1] = text.length;
  else {
    frame[1] = 126;
    frame.writeUInt16BE(text.length, 2);
  }
  // As UTF-8, since Deno takes far longer to write a long text as Latin-1.
  frame.write(text, start);
  return frame;
}

function encodeRecordHead(name: string, frame: Buffer): Buffer {
  const head = Buffer.allocUnsafe(RECORD_HEAD_BYTES + name.length);
  head.writeUInt32BE(head.length + frame.length, 0);
  head.writeUInt16BE(name.length, 4);
  head.write(name, RECORD_HEAD_BYTES, "latin1");
  return head;
}

function join(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

async function main(peer: string | undefined): Promise<void> {
  const relay = new Relay();
  const server = createHttpServer();
  server.on("upgrade", ({ headers }, socket) => {
    const accept = acceptKey(headers["sec-websocket-key"] ?? "", sha1);
    socket.write(encodeAcceptance(accept, undefined));
    relay.addClient(socket as Socket);
  });
  const port = await listen(server);
  if (peer === undefined) {
    const linkPort = await listen(createServer((socket) => relay.addLink(socket)));
    report({ event: "listening", port, linkPort });
  } else {
    report({ event: "listening", port });
    const socket = connect(Number(peer), HOST, () => relay.addLink(socket));
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, HOST, () => resolve((server.address() as AddressInfo).port));
  });
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("base64");
}

function report(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await main(process.argv[2]);
