import type { FaultRecord, NodeLife } from "./evidence.ts";

/** A member as a client was told of it. */
export interface Sighting {
  /** `there` for who was there when the client came. */
  readonly kind: "there" | "joined" | "updated" | "left";
  /** The member. */
  readonly member: string;
  /** What shows of it; empty for one that left. */
  readonly meta: string;
  /** When it was told. */
  readonly at: number;
}

/** One connection that takes part in presence. */
export interface Visit {
  /** Its name, which no other visit has. */
  readonly id: string;
  /** As whom it joins. */
  readonly member: string;
  /** The node. */
  readonly node: string;
  /**
   * Whether it is there from the beginning to the end, and sees who else is. Others come and go,
   * and see nobody.
   */
  readonly isResident: boolean;
  /** Its metadata while its node has confirmed that it is there. */
  meta: string | undefined;
  /** When the connection ended, if it has. */
  closedAt: number | undefined;
  /** What a resident saw, in order. */
  readonly sightings: Sighting[];
  /** Errors that the node answered, which none should. */
  readonly errors: string[];
}

/** What a round leaves behind of presence. */
export interface PresenceEvidence {
  /** In the order in which they were opened. */
  readonly visits: readonly Visit[];
  /** In the order in which they were started. */
  readonly lives: readonly NodeLife[];
  /** The fault. */
  readonly fault: FaultRecord;
}

/** Who is there after all that was seen, and what shows of each. */
export function rosterAfter(sightings: readonly Sighting[]): Map<string, string> {
  const roster = new Map<string, string>();
  for (const { kind, member, meta } of sightings) {
    if (kind === "left") roster.delete(member);
    else roster.set(member, meta);
  }
  return roster;
}

/** Who should be there: each member, and the metadata of its connections. */
export function expectedRoster(visits: readonly Visit[]): Map<string, readonly string[]> {
  const roster = new Map<string, string[]>();
  for (const { member, meta, closedAt } of visits) {
    if (closedAt !== undefined || meta === undefined) continue;
    const metas = roster.get(member);
    if (metas === undefined) roster.set(member, [meta]);
    else metas.push(meta);
  }
  return roster;
}
