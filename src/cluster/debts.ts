import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import type { VersionSeq } from "./envelope.ts";
import { DEBTS_MAX, PARK_MS } from "./settings.ts";

/** What this node owes another. */
interface Debt {
  /** Of each version of the other's interest, from behind which seq on. The oldest first. */
  readonly since: VersionSeq[];
  absentSince: Millis | undefined;
}

/**
 * From where on nodes owe each other messages, should the first acknowledgement be lost.
 *
 * A node owes a channel's messages to another from the moment that it knows of its interest. The
 * other learns that moment with the acknowledgement, which the end of a path may take away; by the
 * next one messages may be owed that nobody has told it of. So the moment is remembered for each
 * version of the other's interest, and told first of all over a new path. Whoever has followed
 * the stream already has no use for it.
 */
export class Debts {
  readonly #debts = new Map<NodeId, Debt>();
  readonly #claims = new Map<NodeId, readonly VersionSeq[]>();

  /** A version of a node's interest is known here: what follows `seq` is owed to it. */
  learn(node: NodeId, learned: VersionSeq): void {
    let debt = this.#debts.get(node);
    if (debt === undefined) this.#debts.set(node, debt = { since: [], absentSince: undefined });
    const { since } = debt;
    if (learned.version <= (since.at(-1)?.version ?? -1)) return;
    since.push(learned);
    // Of two versions in one rather too much is owed than too little.
    if (since.length > DEBTS_MAX) since.splice(0, 2, { ...since[1]!, seq: since[0]!.seq });
  }

  /** From where on a node is owed what it wanted in which version of its interest. */
  owedTo(node: NodeId): readonly VersionSeq[] {
    return this.#debts.get(node)?.since ?? [];
  }

  /** A node told from where on it owes what this node wanted in which version. */
  claim(node: NodeId, since: readonly VersionSeq[]): void {
    this.#claims.set(node, since.slice(0, DEBTS_MAX));
  }

  /** From behind which seq on a node owes what this node wants since a version, or `Infinity`. */
  owedBy(node: NodeId, version: number): number {
    const since = this.#claims.get(node)?.find((known) => known.version >= version);
    return since?.seq ?? Infinity;
  }

  /** A node is down. It may return. */
  absent(node: NodeId, now: Millis): void {
    this.#claims.delete(node);
    const debt = this.#debts.get(node);
    if (debt !== undefined) debt.absentSince = now;
  }

  /** A node is back. */
  present(node: NodeId): void {
    const debt = this.#debts.get(node);
    if (debt !== undefined) debt.absentSince = undefined;
  }

  /** Looks at the time: forgets nodes that were away for too long. */
  tick(now: Millis): void {
    for (const [node, { absentSince = Infinity }] of this.#debts) {
      if (now >= absentSince + PARK_MS) this.#debts.delete(node);
    }
  }
}
