import type { NodeId } from "../../core/node.ts";
import type { TcpAddress, TcpTls } from "../../runtime/tcp.ts";
import type { BackplaneState, NodeIdentity, PathLoss } from "../backplane.ts";

/** What is asked of the dialer. */
export type WireOutput =
  /** Open a connection under this number. */
  | {
    readonly kind: "dial";
    readonly connection: number;
    readonly address: TcpAddress;
    readonly tls: TcpTls | undefined;
  }
  | { readonly kind: "write"; readonly connection: number; readonly parts: readonly Uint8Array[] }
  /** End the connection: after what was written, or now. */
  | { readonly kind: "hangup"; readonly connection: number; readonly isGraceful: boolean };

/** What a Redis backplane asks of its driver, and tells its owner. */
export type RedisOutput =
  | WireOutput
  | { readonly kind: "up"; readonly node: NodeIdentity }
  | { readonly kind: "down"; readonly node: NodeId; readonly loss: PathLoss }
  | { readonly kind: "gone"; readonly node: NodeId }
  | { readonly kind: "received"; readonly node: NodeId; readonly payload: Uint8Array }
  | { readonly kind: "dropped"; readonly node: NodeId }
  | { readonly kind: "subscribed"; readonly channel: string }
  | { readonly kind: "state"; readonly state: BackplaneState }
  | { readonly kind: "fault"; readonly error: Error }
  /** Others can reach this node for the first time. */
  | { readonly kind: "started" }
  /** Others cannot reach this node yet, for a reason that time may mend. It goes on trying. */
  | { readonly kind: "delayed"; readonly error: Error }
  /** It cannot start. */
  | { readonly kind: "failed"; readonly error: Error };
