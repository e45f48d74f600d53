import type {
  BackplaneHandler,
  BackplaneState,
  BackplaneStats,
} from "../../src/backplane/backplane.ts";
import type { ProofDigests } from "../../src/backplane/mesh/handshake.ts";
import { Mesh } from "../../src/backplane/mesh/mesh.ts";
import type { MeshInput } from "../../src/backplane/mesh/mesh_input.ts";
import type { MeshSettings } from "../../src/backplane/mesh/mesh_options.ts";
import type { MeshOutput } from "../../src/backplane/mesh/mesh_output.ts";
import type { Drive } from "../../src/core/drive.ts";
import { drive } from "../../src/core/drive.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Chance } from "./chance.ts";
import type { Host } from "./host.ts";
import type { End, EndHandler, Network } from "./network.ts";
import type { SimulatedPath } from "./path.ts";

/** Who is linked, and what it runs on. */
export interface MeshPathContext {
  readonly id: NodeId;
  readonly name: string;
  readonly address: string;
  readonly host: Host;
  readonly network: Network;
  readonly chance: Chance;
}

/** The mesh on simulated connections: drives the shipped machine as `mesh_backplane.ts` does. */
export class MeshPath implements SimulatedPath {
  readonly #context: MeshPathContext;
  readonly #settings: MeshSettings;
  #handler: BackplaneHandler | undefined;
  readonly #ends = new Map<number, End>();
  #linkCount = 0;
  #isStopping = false;
  #machine: Mesh | undefined;
  #drive: Drive<MeshInput> | undefined;

  constructor(context: MeshPathContext, settings: MeshSettings) {
    this.#context = context;
    this.#settings = settings;
  }

  start(handler: BackplaneHandler): BackplaneState {
    this.#handler = handler;
    const { id, name, address, host, network, chance } = this.#context;
    const context = {
      id,
      name,
      address,
      digests: DIGESTS,
      randomBytes: (count: number) => chance.bytes(count),
      prng: chance.prng,
    };
    network.listen(address, { host, accept: (end) => this.#open(end, undefined) });
    this.#machine = new Mesh(context, this.#settings, host.now());
    this.#drive = drive(this.#machine, host, (output) => this.#perform(output));
    return "up";
  }

  send(nodes: Iterable<NodeId> | undefined, payload: Uint8Array, channel?: string): void {
    this.#drive?.feed({ kind: "send", nodes, payload, isRepeatable: channel !== undefined });
  }

  subscribe(channel: string): void {
    this.#handler?.subscribed(channel);
  }

  unsubscribe(_channel: string): void {}

  rebuild(node: NodeId): void {
    this.#drive?.feed({ kind: "rebuild", node });
  }

  discover(nodes: readonly NodeId[]): void {
    this.#drive?.feed({ kind: "discover", nodes });
  }

  stats(): BackplaneStats {
    return this.#machine?.stats ?? {};
  }

  stop(): void {
    this.#isStopping = true;
    this.#context.network.unlisten(this.#context.address);
    this.#drive?.feed({ kind: "leave" });
    this.#drive?.stop();
  }

  #open(end: End, dialled: string | undefined): EndHandler {
    const link = ++this.#linkCount;
    const feed = (input: MeshInput): void => this.#drive?.feed(input);
    if (this.#isStopping) end.close(false);
    else {
      this.#ends.set(link, end);
      feed({ kind: "opened", link, dialled, remote: end.remote });
    }
    return {
      data: (chunk) => feed({ kind: "bytes", link, chunk }),
      queued: (byteLength) => feed({ kind: "queued", link, byteLength }),
      ended: () => {
        this.#ends.delete(link);
        feed({ kind: "ended", link, cause: undefined });
      },
    };
  }

  #perform(output: MeshOutput): void {
    const handler = this.#handler!;
    switch (output.kind) {
      case "write":
        return this.#write(output.link, output.parts);
      case "received":
        return handler.received(output.node, output.payload);
      case "dial":
        return this.#dial(output.address);
      case "resolve":
        return this.#drive?.feed({
          kind: "resolved",
          hostname: output.hostname,
          addresses: [],
        });
      case "hangup":
        this.#ends.get(output.link)?.close(output.isGraceful);
        this.#ends.delete(output.link);
        return;
      case "up":
        return handler.up(output.node);
      case "down":
        return handler.down(output.node, output.loss);
      case "gone":
        return handler.gone(output.node);
      case "dropped":
        return handler.dropped(output.node);
      case "fault":
        return handler.fault(output.error);
    }
  }

  #write(link: number, parts: readonly Uint8Array[]): void {
    const end = this.#ends.get(link);
    if (end === undefined) return;
    let queued = 0;
    for (const part of parts) queued = end.write(part);
    if (queued > 0) this.#drive?.feed({ kind: "queued", link, byteLength: queued });
  }

  #dial(address: string): void {
    const { host, network, address: own } = this.#context;
    network.dial({ host, address: own }, address, this.#settings.connectTimeoutMs, {
      opened: (end) => this.#open(end, address),
      failed: (isRefused) => {
        this.#drive?.feed({ kind: "dial_failed", address, isRefused, cause: undefined });
      },
    });
  }
}

const DIGEST_BYTES = 32;

/** Stands for HMAC-SHA-256 where nobody attacks: as long, and as sensitive to every byte. */
const DIGESTS: ProofDigests = {
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    let hash = 0x811c9dc5;
    for (const part of [key, ...parts]) {
      for (const byte of part) hash = Math.imul(hash ^ byte, 0x01000193);
      hash = Math.imul(hash ^ part.byteLength, 0x01000193);
    }
    const digest = new Uint8Array(DIGEST_BYTES);
    for (let index = 0; index < DIGEST_BYTES; index++) {
      hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
      digest[index] = hash & 255;
    }
    return digest;
  },
  equal: (left, right) =>
    left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index]),
};
