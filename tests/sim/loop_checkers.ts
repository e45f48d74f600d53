import type { ClusterPath } from "../../src/cluster_core.ts";
import { decodeEnvelope } from "../../src/cluster/envelope.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { History } from "./history.ts";

const TYPE_MESSAGES = 1;

/**
 * A path on which it shows when a node passes on what another published: nothing but the answer
 * to a request may repeat it, or messages could go round for ever.
 */
export function watchForLoops(path: ClusterPath, self: NodeId, history: History): ClusterPath {
  return {
    send: (nodes, payload, channel) => {
      const fault = payload[0] === TYPE_MESSAGES ? findPassedOn(self, payload) : undefined;
      if (fault !== undefined) history.faults.push(fault);
      path.send(nodes, payload, channel);
    },
    subscribe: (channel) => path.subscribe(channel),
    unsubscribe: (channel) => path.unsubscribe(channel),
    rebuild: (node) => path.rebuild(node),
    discover: (nodes) => path.discover(nodes),
  };
}

function findPassedOn(self: NodeId, payload: Uint8Array): string | undefined {
  const envelope = decodeEnvelope(self, payload);
  if (envelope?.kind !== "messages" || envelope.node === self || envelope.repair) return undefined;
  const { node, channel, messages } = envelope;
  return `${self} passed on ${messages.length} messages of ${node} in ${channel} unasked`;
}
