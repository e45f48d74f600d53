/** How two nodes see each other. */
export type LinkState =
  /** Each is connected to the other. */
  | "up"
  /** One of them is not, or does not know yet that the other is gone. */
  | "half"
  /** Neither is. */
  | "down";

/** One link between two nodes, as the nodes themselves report it. */
export interface LinkReport {
  /** The names of the two nodes, sorted. */
  readonly ends: readonly [string, string];
  /** How they see each other now. */
  readonly state: LinkState;
  /** How long after a node was ended the other one knew, the last time, in ms. */
  readonly fellMs?: number;
  /** How long after a node was started the two were connected, the last time, in ms. */
  readonly healedMs?: number;
}

/** Something that happened, in words. */
export interface LinkNote {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** One sentence without a full stop. */
  readonly text: string;
}

interface NodeEntry {
  /** The node id of the running incarnation, once it has told. */
  id: string | undefined;
  startedAt: number;
  endedAt: number;
  /** The node ids that it is connected to. */
  readonly peers: Set<string>;
}

interface LinkEntry {
  isUp: boolean;
  fellMs?: number;
  healedMs?: number;
}

const NOTES_MAX = 50;

/** Keeps book of who is linked to whom, and of how long it took. Times are in ms since the epoch. */
export class LinkBook {
  readonly #nodes = new Map<string, NodeEntry>();
  readonly #links = new Map<string, LinkEntry>();
  readonly #notes: LinkNote[] = [];

  /** Opens the book for these nodes, none of which runs. */
  constructor(names: readonly string[]) {
    for (const name of names) {
      this.#nodes.set(name, { id: undefined, startedAt: 0, endedAt: 0, peers: new Set() });
    }
  }

  /** What happened lately, oldest first. */
  get notes(): readonly LinkNote[] {
    return this.#notes;
  }

  /** All links, in the order of the names. */
  get links(): LinkReport[] {
    const names = [...this.#nodes.keys()];
    return names.flatMap((a, index) =>
      names.slice(index + 1).map((b) => {
        const { isUp: _isUp, ...times } = this.#link(a, b);
        return { ends: [a, b] as const, state: this.#stateOf(a, b), ...times };
      })
    );
  }

  /** A node's process was started. */
  started(name: string, at: number): void {
    this.#node(name).startedAt = at;
    this.#note(at, `${name} was started`);
  }

  /** A node listens, under this id. */
  listening(name: string, id: string, at: number): void {
    this.#node(name).id = id;
    this.#settleLinks(at);
  }

  /** A node's process was told to end: from here on counts how long others take to know. */
  ending(name: string, at: number, how: string): void {
    this.#node(name).endedAt = at;
    for (const other of this.#nodes.keys()) {
      if (other !== name) this.#links.set(keyOf(name, other), { isUp: false });
    }
    this.#note(at, `${name} was ${how}`);
  }

  /** A node's process is gone. */
  ended(name: string, at: number): void {
    const node = this.#node(name);
    node.id = undefined;
    node.peers.clear();
    this.#settleLinks(at);
  }

  /** A node reports that it is connected to another. */
  connected(name: string, peerId: string, at: number): void {
    this.#node(name).peers.add(peerId);
    this.#settleLinks(at);
  }

  /** A node reports that another is gone. */
  disconnected(name: string, peerId: string, at: number): void {
    this.#node(name).peers.delete(peerId);
    this.#settleLinks(at);
    const peer = nameOf(peerId);
    const endedAt = this.#nodes.get(peer)?.endedAt ?? 0;
    if (endedAt === 0) return;
    this.#link(name, peer).fellMs = at - endedAt;
    this.#note(at, `${name} knew after ${at - endedAt} ms that ${peer} is gone`);
  }

  // Reports come in any order: a link is up with the last of them, whichever that is.
  #settleLinks(at: number): void {
    for (const { ends: [a, b], state } of this.links) {
      const link = this.#link(a, b);
      const wasUp = link.isUp;
      link.isUp = state === "up";
      if (wasUp || !link.isUp) continue;
      const healedMs = at - Math.max(this.#node(a).startedAt, this.#node(b).startedAt);
      link.healedMs = healedMs;
      this.#note(at, `${a} and ${b} are linked after ${healedMs} ms`);
    }
  }

  #stateOf(a: string, b: string): LinkState {
    const [first, second] = [this.#node(a), this.#node(b)];
    const seen = [sees(first, second), sees(second, first)].filter(Boolean).length;
    if (seen === 2) return "up";
    // An ended node's old id may still be among the other's peers: that link is not down yet.
    return seen === 1 || remembers(first, b) || remembers(second, a) ? "half" : "down";
  }

  #link(a: string, b: string): LinkEntry {
    const key = keyOf(a, b);
    const link = this.#links.get(key) ?? { isUp: false };
    this.#links.set(key, link);
    return link;
  }

  #node(name: string): NodeEntry {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`Cannot keep book of ${name}: no such node`);
    return node;
  }

  #note(at: number, text: string): void {
    this.#notes.push({ at, text });
    if (this.#notes.length > NOTES_MAX) this.#notes.shift();
  }
}

function keyOf(a: string, b: string): string {
  return [a, b].sort().join(" ");
}

function sees(from: NodeEntry, to: NodeEntry): boolean {
  return to.id !== undefined && from.peers.has(to.id);
}

function remembers(from: NodeEntry, name: string): boolean {
  return [...from.peers].some((id) => nameOf(id) === name);
}

// A node id is the operator's name, a tilde, and what is drawn at each start.
function nameOf(id: string): string {
  return id.slice(0, id.lastIndexOf("~"));
}
