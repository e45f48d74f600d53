import { REPAIR_BATCH_BYTES, REPAIR_WAITING_MAX } from "../../src/cluster/settings.ts";
import type { World } from "./world.ts";

// One payload is taken whatever its size, and an answer to a repair request may be the largest.
const PAYLOAD_BYTES = 2 * REPAIR_BATCH_BYTES;

/** Returns which queue of which node is over its bound at this moment (P10), as sentences. */
export function checkBounds(world: World): string[] {
  const faults: string[] = [];
  const { options } = world;
  const queueBytesMax = options.mesh.queueBytesMax! + PAYLOAD_BYTES;
  for (const process of world.openProcesses()) {
    const { id, channels, cluster, host } = process;
    const queued = world.network.longestQueue(host);
    // What cannot be repeated may take as much again before the link is given up.
    if (queued > 2 * queueBytesMax) faults.push(`${id} keeps ${queued} bytes for one peer`);
    const { bytes } = channels.hub.log;
    if (bytes > options.log.logBytesMax) faults.push(`${id} remembers ${bytes} bytes`);
    const { messagesWaiting, holesOpen } = cluster.stats;
    if (messagesWaiting > holesOpen * REPAIR_WAITING_MAX) {
      faults.push(`${id} keeps ${messagesWaiting} messages behind ${holesOpen} holes`);
    }
  }
  return faults;
}
