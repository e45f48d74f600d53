import type { NodeId } from "./core/node.ts";
import { channelNameFault } from "./protocol/codec.ts";

/** A member of a channel, as all its connections on all nodes taken together show it. */
export class Member {
  /** The member. */
  readonly member: string;
  readonly #meta: string;

  /** Made by {@linkcode Presence}: `meta` is JSON text, empty for none. */
  constructor(member: string, meta: string) {
    this.member = member;
    this.#meta = meta;
  }

  /** The metadata of its latest connection; `undefined` for none. Read when it is asked for. */
  get meta(): unknown {
    return parseMeta(this.#meta);
  }

  /** The same as plain values. */
  toJSON(): { readonly member: string; readonly meta: unknown } {
    return { member: this.member, meta: this.meta };
  }
}

/** One connection of a member. */
export interface MemberConnection {
  /** The node that it is connected to. */
  readonly node: NodeId;
  /** Its own metadata. */
  readonly meta: unknown;
}

/**
 * Metadata as JSON text; empty for `undefined`.
 *
 * @throws {TypeError} If it is no JSON.
 */
export function encodeMeta(meta: unknown): string {
  if (meta === undefined) return "";
  const expected = "Cannot take metadata: expected a JSON value";
  let text: string | undefined;
  try {
    text = JSON.stringify(meta);
  } catch (cause) {
    throw new TypeError(`${expected}, received what cannot be written as JSON`, { cause });
  }
  if (text !== undefined) return text;
  throw new TypeError(`${expected}, received ${typeof meta}`);
}

/** Metadata from its JSON text; `undefined` for none. */
export function parseMeta(text: string): unknown {
  return text === "" ? undefined : JSON.parse(text);
}

/**
 * Checks a name.
 *
 * @param what What it names: `"channel"` or `"member"`, which have the same bounds.
 * @throws {TypeError} If it is none.
 */
export function requireName(what: string, value: unknown): asserts value is string {
  const fault = typeof value === "string" ? channelNameFault(value) : "not a string";
  if (fault === undefined) return;
  const reason = fault.replace("channel", what);
  throw new TypeError(`Cannot use ${what} ${JSON.stringify(value)}: ${reason}`);
}
