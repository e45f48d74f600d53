import type { NodeId } from "../../core/node.ts";
import type { Prng } from "../../core/prng.ts";
import type { ProofDigests } from "./handshake.ts";

/** Who a mesh is, and what it needs that only a runtime has. */
export interface MeshContext {
  /** This node. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** Where others dial it: `"host:port"`, or `":port"` at the host that they see. */
  readonly address: string;
  /** Digests for proofs. */
  readonly digests: ProofDigests;
  /** Bytes that nobody can guess, for nonces. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Chance, to spread pauses. */
  readonly prng: Prng;
}
