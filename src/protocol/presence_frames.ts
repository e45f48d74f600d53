/**
 * What the server says of a channel's members. Metadata is JSON text already, and put in as it is.
 *
 * @module
 */

import { quote } from "./codec.ts";
import { FRAME_JOIN_CHARACTERS_MAX } from "./limits.ts";

/** A member as clients are told of it. */
export interface FrameMember {
  /** The member. */
  readonly member: string;
  /** The metadata as JSON text; empty for none. */
  readonly meta: string;
}

/** What changed in a channel. */
export interface FrameChanges {
  /** Who came. */
  readonly joined: readonly FrameMember[];
  /** Whose metadata is another. */
  readonly updated: readonly FrameMember[];
  /** Who went. */
  readonly left: readonly string[];
  /** How many members there are now. */
  readonly count: number;
}

/** Writes what changed in a channel as `presence` messages: one, or more if they are many. */
export function encodePresence(channel: string, changes: FrameChanges): string[] {
  const frames: string[] = [];
  const prefix = `{"type":"presence","channel":${quote(channel)}`;
  const suffix = `,"count":${changes.count}}`;
  let lists: Record<"joined" | "updated" | "left", string> = { joined: "", updated: "", left: "" };
  const end = (): void => {
    let text = prefix;
    for (const [name, items] of Object.entries(lists)) if (items) text += `,"${name}":[${items}]`;
    frames.push(text + suffix);
    lists = { joined: "", updated: "", left: "" };
  };
  const add = (name: keyof typeof lists, item: string): void => {
    const size = lists.joined.length + lists.updated.length + lists.left.length;
    if (size + item.length >= FRAME_JOIN_CHARACTERS_MAX && size > 0) end();
    lists[name] += lists[name] === "" ? item : `,${item}`;
  };
  for (const member of changes.joined) add("joined", encodeMember(member));
  for (const member of changes.updated) add("updated", encodeMember(member));
  for (const member of changes.left) add("left", quote(member));
  end();
  return frames;
}

/** Writes how many members a channel has. */
export function encodeCount(channel: string, count: number): string {
  return `{"type":"presence","channel":${quote(channel)},"count":${count}}`;
}

/** Writes the answer to a `join`. `members` is left out where there are too many. */
export function encodeJoined(joined: {
  readonly channel: string;
  readonly id: number;
  readonly member: string;
  readonly count: number;
  readonly members: readonly FrameMember[] | undefined;
}): string {
  const { channel, id, member, count, members } = joined;
  const list = members === undefined ? "" : `,"members":[${members.map(encodeMember).join(",")}]`;
  return `{"type":"joined","channel":${quote(channel)},"id":${id},"member":${
    quote(member)
  },"count":${count}${list}}`;
}

/**
 * Writes one piece of a roster, the last one unless there is more; or, without `members`, only how
 * many there are.
 */
export function encodeMembers(piece: {
  readonly channel: string;
  readonly id: number;
  readonly members: readonly FrameMember[] | undefined;
  readonly count: number;
  readonly hasMore: boolean;
  readonly isStale: boolean;
}): string {
  const { channel, id, members, count, hasMore, isStale } = piece;
  const list = members === undefined ? "" : `,"members":[${members.map(encodeMember).join(",")}]`;
  const flags = (hasMore ? ',"more":true' : "") + (isStale ? ',"stale":true' : "");
  return `{"type":"members","channel":${
    quote(channel)
  },"id":${id}${list},"count":${count}${flags}}`;
}

function encodeMember({ member, meta }: FrameMember): string {
  return meta === "" ? `{"member":${quote(member)}}` : `{"member":${quote(member)},"meta":${meta}}`;
}
