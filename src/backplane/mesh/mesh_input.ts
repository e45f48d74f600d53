import type { Wake } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";

/** What can happen to a mesh. A link is named by a number that its driver chose. */
export type MeshInput =
  /** A connection is open: one that was dialled, or one that came in. */
  | {
    readonly kind: "opened";
    readonly link: number;
    /** The address that was dialled, or `undefined` if it came in. */
    readonly dialled: string | undefined;
    /** The other end, as `"host:port"`. */
    readonly remote: string;
  }
  /** A `dial` failed. `isRefused` tells that nobody listens there. */
  | {
    readonly kind: "dial_failed";
    readonly address: string;
    readonly isRefused: boolean;
    readonly cause: unknown;
  }
  | { readonly kind: "bytes"; readonly link: number; readonly chunk: Uint8Array }
  /** So many bytes wait for the peer. */
  | { readonly kind: "queued"; readonly link: number; readonly byteLength: number }
  /** A connection is over. However it ended, that proves nothing of the process behind it. */
  | { readonly kind: "ended"; readonly link: number; readonly cause: unknown }
  /** Answers `resolve`; without addresses if it failed, and then with a cause. */
  | {
    readonly kind: "resolved";
    readonly hostname: string;
    readonly addresses: readonly string[];
    readonly cause?: unknown;
  }
  | {
    readonly kind: "send";
    readonly nodes: Iterable<NodeId> | undefined;
    readonly payload: Uint8Array;
    readonly isRepeatable: boolean;
  }
  | { readonly kind: "rebuild"; readonly node: NodeId }
  | { readonly kind: "discover"; readonly nodes: readonly NodeId[] }
  /** Say goodbye to everybody. */
  | { readonly kind: "leave" }
  | Wake;
