/** A way to break the library that must not go unnoticed. */
export interface Mutant {
  /** What goes wrong, in a few words. */
  readonly name: string;
  /** The promise that it breaks. */
  readonly promise: string;
  readonly file: string;
  /** What is replaced: it stands there exactly once. */
  readonly search: string;
  readonly replacement: string;
  /** Within how many seeds, from the first on, the swarm must notice. */
  readonly seeds: number;
}

const MEMBERSHIP = "src/cluster/membership.ts";
const ROUTER = "src/cluster/router.ts";
const REPAIR = "src/cluster/repair.ts";
const NODE = "src/cluster/cluster_node.ts";
const HUB = "src/channel/hub.ts";
const LOG = "src/channel/log.ts";
const PRESENCE = "src/channel/presence.ts";
const PRESENCE_PEER = "src/channel/presence_peer.ts";
const ROSTER = "src/channel/presence_roster.ts";
const LINK = "src/backplane/mesh/link.ts";
const PEERS = "src/backplane/mesh/peers.ts";

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "repeats are delivered",
    promise: "P2",
    file: REPAIR,
    search: "if (prev > last || seq <= last) return false;",
    replacement: "if (prev > last) return false;",
    seeds: 20,
  },
  {
    name: "what is missing is not asked for",
    promise: "P4",
    file: REPAIR,
    search: 'this.#outputs.push({ kind: "request", channel, node, after: stream.last, attempt });',
    replacement: "",
    seeds: 20,
  },
  {
    name: "a hole is passed over",
    promise: "P4",
    file: REPAIR,
    search: "if (prev > last || seq <= last) return false;",
    replacement: "if (seq <= last) return false;",
    seeds: 20,
  },
  {
    name: "a gap is not told",
    promise: "P4",
    file: REPAIR,
    search:
      'this.#outputs.push({ kind: "gap", channel, node });\n    this.#outputs.push({ kind: "rebase"',
    replacement: 'this.#outputs.push({ kind: "rebase"',
    seeds: 50,
  },
  {
    name: "a gap is told twice",
    promise: "P4",
    file: REPAIR,
    search: "if (stream.owed <= stream.last) stream.owed = 0;\n",
    replacement: "if (stream.owed <= stream.last) stream.owed = 0;\n" +
      '    this.#outputs.push({ kind: "gap", channel, node });\n',
    seeds: 20,
  },

  {
    name: "a subscription is confirmed before the others know",
    promise: "P2",
    file: ROUTER,
    search:
      "for (const peer of this.#peers.values()) if (peer.acknowledged < own.version) return false;",
    replacement: "",
    seeds: 20,
  },
  {
    name: "where a stream stands is not heard in heartbeats",
    promise: "P4",
    file: NODE,
    search: "for (const { channel, seq } of beat.heads) {",
    replacement: "for (const { channel, seq } of beat.heads.slice(0, 0)) {",
    seeds: 500,
  },
  {
    name: "the version of the interest is not heard in heartbeats",
    promise: "P2",
    file: NODE,
    search: "this.#router.heartbeat(from, beat.interestVersion);",
    replacement: "",
    seeds: 500,
  },
  {
    name: "heartbeats are not taken as signs of life",
    promise: "P8",
    file: MEMBERSHIP,
    search: "if (state !== undefined) state.heardAt = now;\n  }\n\n  /** A node told",
    replacement: "}\n\n  /** A node told",
    seeds: 20,
  },
  {
    name: "the wrong incarnation counts as dead after a restart",
    promise: "P9",
    file: PEERS,
    search: "const isOther = peer.id !== id && peer.address === address;",
    replacement: "const isOther = peer.id === id && peer.address === address;",
    seeds: 20,
  },
  {
    name: "silence is not noticed",
    promise: "P8",
    file: MEMBERSHIP,
    search: 'if (silentMs >= limitMs && !isVouched) this.#down(peer, "timed_out");',
    replacement: "",
    seeds: 50,
  },
  {
    name: "what came before a subscriber is delivered to it twice",
    promise: "P2",
    file: HUB,
    search: "this.#seal(channel);\n    channel.subscribers.add(subscriber);",
    replacement: "channel.subscribers.add(subscriber);",
    seeds: 200,
  },
  {
    name: "what comes from another node is told on",
    promise: "P3",
    file: HUB,
    search: "this.#collect(channel, message, undefined);",
    replacement:
      "this.#collect(channel, message, undefined);\n      channel.announced.push(message);",
    seeds: 20,
  },
  {
    name: "the log does not tell what it has forgotten",
    promise: "P4",
    file: LOG,
    search: "stream.floor = page.firstSeq;",
    replacement: "",
    seeds: 100,
  },
  {
    name: "a connection is left open at the end",
    promise: "P11",
    file: LINK,
    search: 'this.#outputs.push({ kind: "hangup", isGraceful });',
    replacement: "",
    seeds: 20,
  },
  {
    name: "the queue to a peer has no bound",
    promise: "P10",
    file: LINK,
    search: "const waiting = this.queuedBytes + payload.length;",
    replacement: "const waiting = 0 * payload.length;",
    seeds: 50,
  },
  {
    name: "what a node tells of its interest when it is back is passed over",
    promise: "P1",
    file: ROUTER,
    search: "if (peer.isSynced && whole.version < peer.version) return;",
    replacement: "if (peer.isSynced) return;",
    seeds: 50,
  },
  {
    name: "a timer is left at the end",
    promise: "P11",
    file: "src/cluster_core.ts",
    search: "this.#drive?.stop();",
    replacement: "",
    seeds: 20,
  },

  {
    name: "the log is not bounded in bytes",
    promise: "P10",
    file: LOG,
    search: "(first.firstAt < oldest || this.#bytes > this.#settings.logBytesMax);",
    replacement: "first.firstAt < oldest;",
    seeds: 50,
  },

  {
    name: "interest that ended while a node was away is kept",
    promise: "P3",
    file: ROUTER,
    search: "if (!whole.channels.has(channel)) this.#lose(node, channel);",
    replacement: "",
    seeds: 100,
  },
  {
    name: "a dead node stays interested",
    promise: "P2",
    file: ROUTER,
    search: "    this.#peers.delete(node);\n    for (const channel of peer.channels)",
    replacement: "    for (const channel of peer.channels)",
    seeds: 20,
  },
  {
    name: "the members of a dead node stay",
    promise: "P7",
    file: PRESENCE,
    search: "    else copy.clear();\n",
    replacement: "",
    seeds: 20,
  },
  {
    name: "a roster's digest is not compared",
    promise: "P7",
    file: PRESENCE_PEER,
    search: "if (isSame || digest.version < this.copy.version) return undefined;",
    replacement: "if (isSame || digest.version > 0) return undefined;",
    seeds: 20,
  },
  {
    name: "the end of a connection is no leave",
    promise: "P7",
    file: PRESENCE,
    search: "for (const entry of [...this.#log.entriesOf(connection)]) {",
    replacement: "for (const entry of [...this.#log.entriesOf(connection)].slice(1)) {",
    seeds: 50,
  },
  {
    name: "the first of several connections that ends is a leave",
    promise: "P7",
    file: ROSTER,
    search: 'if (after === undefined) this.#report("leave", entry, shown);',
    replacement: 'if (after !== null) this.#report("leave", entry, shown);',
    seeds: 20,
  },
  {
    name: "who lingers never goes",
    promise: "P7",
    file: PRESENCE,
    search: "for (const entry of this.#log.copy.lingeredEnough(now)) this.#log.leave(entry);",
    replacement: "",
    seeds: 50,
  },

  {
    name: "the earliest metadata shows, not the latest",
    promise: "P7",
    file: "src/channel/presence_entry.ts",
    search: "if (latest === undefined || isLater(entry, latest)) latest = entry;",
    replacement: "if (latest === undefined || isLater(latest, entry)) latest = entry;",
    seeds: 20,
  },
  {
    name: "versions of different nodes do not compare",
    promise: "P7",
    file: PRESENCE,
    search: "    this.#log.observe(peer.copy.version);\n",
    replacement: "",
    seeds: 50,
  },
  {
    name: "a piece of the whole does not empty what is empty in it",
    promise: "P7",
    file: PRESENCE_PEER,
    search: "if (entry !== undefined) this.copy.drop(entry);",
    replacement: "",
    seeds: 50,
  },
  {
    name: "the first piece is taken for the whole",
    promise: "P7",
    file: PRESENCE_PEER,
    search: "this.#nextSlot = piece.isLast ? undefined : piece.to;",
    replacement: "this.#nextSlot = undefined;",
    seeds: 100,
  },
  {
    name: "the end of a connection is a leave though there is a grace period",
    promise: "P8",
    file: PRESENCE,
    search: "if (lingerMs > 0) this.#log.linger(entry, lingerMs, now);",
    replacement: "if (lingerMs < 0) this.#log.linger(entry, lingerMs, now);",
    seeds: 50,
  },
  {
    name: "a goodbye takes those with it who may return",
    promise: "P8",
    file: PRESENCE,
    search: "if (hasLeft) copy.purge();",
    replacement: "if (hasLeft) copy.clear();",
    seeds: 100,
  },
  {
    name: "time in which a node stood still counts against the others",
    promise: "P14",
    file: MEMBERSHIP,
    search: "if (pause < STALL_MS) return;",
    replacement: "if (pause >= 0) return;",
    seeds: 50,
  },
  {
    name: "a process that is gone is waited for like a silent one",
    promise: "P8",
    file: MEMBERSHIP,
    search: 'if (loss === "refused") this.#refused(peer, now);',
    replacement: "",
    seeds: 50,
  },
];

/** Returns a file's text with the mutant in it. @throws {Error} If its place is not found once. */
export function applyMutant({ name, file, search, replacement }: Mutant, text: string): string {
  const [before, after, ...rest] = text.split(search);
  if (after === undefined || rest.length > 0) {
    throw new Error(`Cannot apply "${name}": its place is not found exactly once in ${file}`);
  }
  return `${before}${replacement}${after}`;
}

/** Whether it breaks who is there, P7 or P8. Each half of the mutants is enough for a file of tests. */
export function isOfPresence({ promise }: Mutant): boolean {
  return promise === "P7" || promise === "P8";
}
