import type { NodeId } from "../../core/node.ts";
import type { LinkError } from "../../errors.ts";
import type { NodeIdentity, PathLoss } from "../backplane.ts";
import type { DialPlace } from "./targets.ts";

/** What a mesh asks of its driver, and tells its owner. */
export type MeshOutput =
  | { readonly kind: "dial"; readonly place: DialPlace; readonly address: string }
  | { readonly kind: "resolve"; readonly hostname: string }
  | { readonly kind: "write"; readonly link: number; readonly parts: readonly Uint8Array[] }
  | { readonly kind: "hangup"; readonly link: number; readonly isGraceful: boolean }
  | { readonly kind: "up"; readonly node: NodeIdentity }
  | { readonly kind: "down"; readonly node: NodeId; readonly loss: PathLoss }
  | { readonly kind: "gone"; readonly node: NodeId }
  | { readonly kind: "received"; readonly node: NodeId; readonly payload: Uint8Array }
  | { readonly kind: "dropped"; readonly node: NodeId }
  | { readonly kind: "fault"; readonly error: LinkError };
