import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { Link } from "./link.ts";
import type { PeerLinks } from "./peer_links.ts";

/** A connection of this node. */
export interface LinkEntry {
  readonly id: number;
  readonly link: Link;
  /** The address that was dialled, or `undefined` if the other side dialled. */
  readonly dialled: string | undefined;
  readonly remote: string;
  /** The peer, once the handshake is done. */
  peer: MeshPeer | undefined;
  /** When the handshake was done. */
  upAt: Millis;
  /** When it is closed, if it is still there: it is to give way to another of its pair. */
  yieldUntil: Millis;
  isDirty: boolean;
}

/** A node that is linked, or was until lately. */
export interface MeshPeer {
  readonly id: NodeId;
  readonly name: string;
  readonly address: string;
  /** Links whose handshake is done. */
  readonly links: PeerLinks;
  /** What the owner believes. */
  isReportedUp: boolean;
  lostAt: Millis | undefined;
  /** The token of the last link that broke; empty if none did. */
  lostToken: string;
}
