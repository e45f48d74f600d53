/**
 * Names one run of one node: the operator's name, `~`, and the incarnation drawn at start.
 *
 * A restarted node has a new id, so nothing of its past is mistaken for its present.
 */
export type NodeId = string;

/** A message's place in the cluster: the node that published it and that node's own counter. */
export interface Position {
  /** The publishing node. */
  readonly node: NodeId;
  /** The publishing node's counter, which only grows. The first message is 1. */
  readonly seq: number;
}

/**
 * How far a reader is in one channel: the last seq per publishing node. A node that is not
 * there has published nothing that the reader knows of.
 */
export type Positions = Readonly<Record<NodeId, number>>;

const INCARNATION_CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const INCARNATION_LENGTH = 12;

/**
 * Joins a name and a fresh incarnation into a node id.
 *
 * @param name The operator's name for the node.
 * @param random At least 12 random bytes: 60 bits make a repeat unthinkable.
 */
export function createNodeId(name: string, random: Uint8Array): NodeId {
  let incarnation = "";
  for (let index = 0; index < INCARNATION_LENGTH; index++) {
    incarnation += INCARNATION_CHARACTERS[random[index]! % 32];
  }
  return `${name}~${incarnation}`;
}

/** Returns the operator's part of a node id. */
export function nodeName(id: NodeId): string {
  const end = id.lastIndexOf("~");
  return end < 0 ? id : id.slice(0, end);
}
