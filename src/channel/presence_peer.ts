import type { Millis } from "../core/machine.ts";
import type {
  DeltaBody,
  DigestBody,
  PieceBody,
  PieceEntry,
  PresenceOp,
  WantBody,
} from "./presence_codec.ts";
import type { PresenceCopy } from "./presence_copy.ts";
import type { PresenceEntry } from "./presence_entry.ts";

/** How long an answer may take before it is asked for again. */
const ASK_AGAIN_MS = 500;
/**
 * The same question within this time came over two paths. What comes after a hole within it is no
 * reason to ask again: each answer would bring more of the same.
 */
const SAME_QUESTION_MS = 100;

/**
 * Another node's roster, as far as it is known, and how the rest of it is got.
 *
 * ```text
 *   known up to `version` --hole, or a digest that is ahead--> asks for the changes
 *   asks for the changes  --they come--> known
 *                         --they are forgotten: a piece comes--> assembles, piece by piece
 *   assembles             --last piece--> known, or asks for the changes since
 * ```
 *
 * A piece tells exactly what stands in its slots at its version, so it can be applied to what is
 * there: what both hold is left alone, and nobody seems to leave who has not left.
 */
export class PresencePeer {
  /** What is known. */
  readonly copy: PresenceCopy;
  /** A version that the node is known to have reached. */
  #target = 0;
  /** The first slot of the next piece, while the whole is being assembled. */
  #nextSlot: number | undefined;
  #askedAt: Millis | undefined;
  #heldUntil: Millis | undefined;
  #answered: { readonly want: WantBody; readonly at: Millis } | undefined;

  /** Starts with a copy, which is empty if the node is new. */
  constructor(copy: PresenceCopy) {
    this.copy = copy;
  }

  /** When to ask again, or for the first time. */
  get deadline(): Millis | undefined {
    if (this.#heldUntil !== undefined) return this.#heldUntil;
    return this.#askedAt === undefined ? undefined : this.#askedAt + ASK_AGAIN_MS;
  }

  /** Whether something is known to be missing. */
  get isBehind(): boolean {
    return this.#nextSlot !== undefined || this.copy.version < this.#target;
  }

  /** Whether what the node tells does not count yet. */
  get isHeld(): boolean {
    return this.#heldUntil !== undefined;
  }

  /** What the node tells does not count until then, or until it is released. */
  hold(until: Millis): void {
    this.#heldUntil = until;
  }

  /** From now on it counts. Returns what to ask it, if it was held. */
  release(now: Millis): WantBody | undefined {
    if (this.#heldUntil === undefined) return undefined;
    this.#heldUntil = undefined;
    return this.#ask(now);
  }

  /** The node told where it stands. Returns what to ask it, if anything. */
  digest(digest: DigestBody, now: Millis): WantBody | undefined {
    if (digest.version > this.#target) this.#target = digest.version;
    if (this.#nextSlot !== undefined) return undefined;
    const isSame = digest.version === this.copy.version && digest.hash === this.copy.hash;
    if (isSame || digest.version < this.copy.version) return undefined;
    // Up to the same version, and yet not the same: only the whole can tell where it differs.
    if (digest.version === this.copy.version) this.#nextSlot = 0;
    return this.#ask(now);
  }

  /** The node told changes. Returns what to ask it, if anything. */
  delta({ prev, ops }: DeltaBody, now: Millis): WantBody | undefined {
    const last = ops.at(-1)?.version ?? prev;
    if (last > this.#target) this.#target = last;
    if (prev > this.copy.version) return this.#isAsking(now) ? undefined : this.#ask(now);
    for (const op of ops) {
      if (op.version <= this.copy.version) continue;
      this.#apply(op, now);
      this.copy.version = op.version;
    }
    if (!this.isBehind) this.#askedAt = undefined;
    return undefined;
  }

  /** The node told a piece of the whole. Returns what to ask it next, if anything. */
  piece(piece: PieceBody, now: Millis): WantBody | undefined {
    if (piece.version > this.#target) this.#target = piece.version;
    if (this.#nextSlot === undefined) {
      // Nothing was asked, or the changes came after all.
      if (piece.from !== 0 || piece.version <= this.copy.version) return undefined;
    } else if (piece.from !== this.#nextSlot) return undefined;
    // Changes have overtaken it: what it says of its slots is not true any more.
    if (piece.version < this.copy.version) return this.#ask(now);
    if (piece.from === 0) this.copy.version = piece.version;
    this.#fill(piece, now);
    this.#nextSlot = piece.isLast ? undefined : piece.to;
    if (this.isBehind) return this.#ask(now);
    this.#askedAt = undefined;
    return undefined;
  }

  /** Asks again what was not answered in time. */
  wake(now: Millis): WantBody | undefined {
    if (this.#heldUntil !== undefined) {
      return now < this.#heldUntil ? undefined : this.release(now);
    }
    if (this.#askedAt === undefined || now < this.#askedAt + ASK_AGAIN_MS) return undefined;
    if (this.isBehind) return this.#ask(now);
    this.#askedAt = undefined;
    return undefined;
  }

  /** Whether to answer a question of the node: not if the same one was answered just now. */
  isNewQuestion(want: WantBody, now: Millis): boolean {
    const last = this.#answered;
    const isRepeat = last !== undefined && last.want.after === want.after &&
      last.want.slot === want.slot && now < last.at + SAME_QUESTION_MS;
    if (!isRepeat) this.#answered = { want, at: now };
    return !isRepeat;
  }

  #isAsking(now: Millis): boolean {
    if (this.#nextSlot !== undefined) return true;
    return this.#askedAt !== undefined && now < this.#askedAt + SAME_QUESTION_MS;
  }

  #ask(now: Millis): WantBody {
    this.#askedAt = now;
    return { kind: "want", after: this.copy.version, slot: this.#nextSlot };
  }

  #apply(op: PresenceOp, now: Millis): void {
    const { copy } = this;
    const entry = copy.at(op.slot);
    // A piece may have told what came of it already.
    if (entry !== undefined && entry.version >= op.version) return;
    if (op.kind === "join") return void copy.put(op.channel, op);
    if (entry === undefined) return;
    switch (op.kind) {
      case "update":
        return copy.change(entry, op.meta, op.version);
      case "leave":
        return copy.drop(entry);
      case "linger":
        copy.lingering.set(entry, now + op.lingerMs);
    }
  }

  #fill(piece: PieceBody, now: Millis): void {
    const { copy } = this;
    let slot = piece.from;
    for (const wanted of piece.entries) {
      this.#empty(slot, wanted.slot);
      this.#place(wanted, now);
      slot = wanted.slot + 1;
    }
    this.#empty(slot, piece.isLast ? copy.slotCount : piece.to);
  }

  #empty(from: number, to: number): void {
    const end = Math.min(to, this.copy.slotCount);
    for (let slot = from; slot < end; slot++) {
      const entry = this.copy.at(slot);
      if (entry !== undefined) this.copy.drop(entry);
    }
  }

  #place(wanted: PieceEntry, now: Millis): void {
    const { copy } = this;
    let entry = copy.at(wanted.slot);
    if (entry !== undefined && isSameConnection(entry, wanted)) {
      const isSame = entry.version === wanted.version && entry.meta === wanted.meta;
      if (!isSame) copy.change(entry, wanted.meta, wanted.version);
    } else entry = copy.put(wanted.channel, wanted);
    if (wanted.lingerMs === undefined) copy.lingering.delete(entry);
    else copy.lingering.set(entry, now + wanted.lingerMs);
  }
}

function isSameConnection(entry: PresenceEntry, wanted: PieceEntry): boolean {
  return entry.connection === wanted.connection && entry.member === wanted.member &&
    entry.channel.name === wanted.channel;
}
