import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { Link } from "./link.ts";

/** A connection of this node. */
export interface LinkEntry {
  readonly id: number;
  readonly link: Link;
  readonly dialled: string | undefined;
  readonly remote: string;
  /** The peer, once the handshake is done. */
  peer: MeshPeer | undefined;
  hasRetired: boolean;
  isRetiredByPeer: boolean;
  retireUntil: Millis;
  isDirty: boolean;
}

/** A node that is linked, or was until lately. */
export interface MeshPeer {
  readonly id: NodeId;
  readonly name: string;
  readonly address: string;
  /** Finished links, the one to send over first. */
  links: LinkEntry[];
  /** What the owner believes. */
  isReportedUp: boolean;
  lostAt: Millis | undefined;
}
