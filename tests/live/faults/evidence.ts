/**
 * What a round of a fault leaves behind: what each client said and heard, over which node and
 * when, and what each node told of the others. Times are of the one clock of the process that
 * holds the clients.
 *
 * @module
 */

/** One message, as its publisher knows it. */
export interface Publication {
  /** When it was sent. */
  readonly sentAt: number;
  /** Whether its node answered `published`. Without an answer it may or may not exist. */
  isTaken: boolean;
}

/** One message, as a subscriber got it. */
export interface Receipt {
  /** The session that published it. */
  readonly publisher: string;
  /** Its number among those that the session published to the channel, from 0 on. */
  readonly index: number;
  /** The node that published it. */
  readonly node: string;
  /** That node's counter. */
  readonly seq: number;
  /** When it was sent. */
  readonly sentAt: number;
  /** When it came. */
  readonly at: number;
}

/** One channel in one session. */
export interface Hearing {
  /** When the subscription was confirmed, if it was. */
  confirmedAt: number | undefined;
  /** Whether the node said that it would send what the client had missed. */
  isRecovered: boolean;
  /** Nodes that had not confirmed in time: what they publish is not promised. */
  missing: readonly string[];
  /** What came, in order. */
  readonly receipts: Receipt[];
  /** When a `gap` came. */
  readonly gapsAt: number[];
}

/** One connection of a client. */
export interface Session {
  /** Its name, which no other session has. */
  readonly id: string;
  /** The client, which goes on when the session ends. */
  readonly client: string;
  /** The node. */
  readonly node: string;
  /** When the connection ended, if it has. */
  closedAt: number | undefined;
  /** What it published, by channel, in order. */
  readonly published: ReadonlyMap<string, Publication[]>;
  /** What it heard, by channel. */
  readonly heard: ReadonlyMap<string, Hearing>;
  /** Errors that the node answered, which none should. */
  readonly errors: string[];
}

/** What a node told of another one. */
export interface PeerReport {
  /** Whether the other node was connected or disconnected. */
  readonly event: "peerconnected" | "peerdisconnected";
  /** The other node. */
  readonly peer: string;
}

/** One incarnation of a node. */
export interface NodeLife {
  /** Its id. */
  readonly node: string;
  /** The name that its successors have too. */
  readonly name: string;
  /** How it ended, if it has. */
  ending: "crashed" | "left" | undefined;
  /** When it was ended. */
  endedAt: number | undefined;
  /** What it told of the others, in order. */
  reports: readonly PeerReport[];
}

/** What was done, and what may come of it. */
export interface FaultRecord {
  /** When it began. */
  readonly startedAt: number;
  /** When it ended. */
  readonly endedAt: number;
  /** Whether nodes must lose each other over it; if not, they must not. */
  readonly isNoticed: boolean;
  /** Names of nodes that it does not touch: they keep each other, and keep their pace. */
  readonly bystanders: readonly string[];
  /** Clients that it touches. */
  readonly touchedClients: readonly string[];
}

/** All of it. */
export interface Evidence {
  /** In the order in which they were opened. */
  readonly sessions: readonly Session[];
  /** In the order in which they were started. */
  readonly lives: readonly NodeLife[];
  /** The fault. */
  readonly fault: FaultRecord;
}

/** Makes the record of a session that has just been opened. */
export function createSession(
  identity: { readonly id: string; readonly client: string; readonly node: string },
  channels: readonly string[],
): Session {
  return {
    ...identity,
    closedAt: undefined,
    published: new Map(channels.map((channel) => [channel, []])),
    heard: new Map(channels.map((channel) => [channel, {
      confirmedAt: undefined,
      isRecovered: false,
      missing: [],
      receipts: [],
      gapsAt: [],
    }])),
    errors: [],
  };
}
