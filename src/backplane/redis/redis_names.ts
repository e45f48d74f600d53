import type { NodeId } from "../../core/node.ts";

/**
 * The names of the Redis channels of one cluster: `prefix:all` for all nodes, `prefix:n:…` for one
 * node, `prefix:c:…` for those with subscribers of a Chorus channel.
 */
export class RedisNames {
  /** The channel that every node listens to. */
  readonly all: string;
  readonly #node: string;
  readonly #channel: string;

  /** Takes what all names begin with. */
  constructor(prefix: string) {
    this.all = `${prefix}:all`;
    this.#node = `${prefix}:n:`;
    this.#channel = `${prefix}:c:`;
  }

  /** The channel that one node listens to. */
  node(id: NodeId): string {
    return this.#node + id;
  }

  /** The channel in which a node hears itself, over one of several servers. */
  canary(id: NodeId, number: number): string {
    return `${this.#node}${id}:${number}`;
  }

  /** The channel that stands for a Chorus channel. */
  channel(channel: string): string {
    return this.#channel + channel;
  }

  /** The Chorus channel that a name stands for, if it does. */
  chorusChannel(name: string): string | undefined {
    return name.startsWith(this.#channel) ? name.slice(this.#channel.length) : undefined;
  }

  /** The node that listens to a channel, if it is a node's. */
  nodeOf(name: string): NodeId | undefined {
    return name.startsWith(this.#node) ? name.slice(this.#node.length) : undefined;
  }
}
