import type { NodeId } from "../../core/node.ts";

/**
 * The names of the Redis channels of one cluster: `prefix:all` for all nodes, `prefix:n:…` for one
 * node, `prefix:l:…` for its sign of life, `prefix:c/…` for those with subscribers of a Chorus
 * channel. That may be called anything, and a prefix has no slash, so none is another cluster's.
 */
export class RedisNames {
  /** The channel that every node listens to. */
  readonly all: string;
  readonly #node: string;
  readonly #life: string;
  readonly #channel: string;

  /** Takes what all names begin with. */
  constructor(prefix: string) {
    this.all = `${prefix}:all`;
    this.#node = `${prefix}:n:`;
    this.#life = `${prefix}:l:`;
    this.#channel = `${prefix}:c/`;
  }

  /** The channel that one node listens to. */
  node(id: NodeId): string {
    return this.#node + id;
  }

  /**
   * The channel by which a node shows that its process is there, whatever became of the connection
   * that listens to `channel`. In a Redis Cluster both are of the same slot, by the braces.
   */
  life(channel: string): string {
    return `${this.#life}{${channel}}`;
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

  /** The node that listens to a channel, or shows its life by it, if it is a node's. */
  nodeOf(name: string): NodeId | undefined {
    if (name.startsWith(this.#life)) return this.nodeOf(name.slice(this.#life.length + 1, -1));
    return name.startsWith(this.#node) ? name.slice(this.#node.length) : undefined;
  }
}
