import { MESSAGES_BYTES_MAX, REPAIR_WAITING_MAX } from "../../src/cluster/settings.ts";
import type { World } from "./world.ts";

// One envelope may be begun just below a bound.
const ENVELOPE_BYTES = 2 * MESSAGES_BYTES_MAX;

/** Returns which queue of which node is over its bound at this moment (P10), as sentences. */
export function checkBounds(world: World): string[] {
  const faults: string[] = [];
  const { options } = world;
  const queueBytesMax = options.mesh.queueBytesMax + ENVELOPE_BYTES;
  for (const process of world.openProcesses()) {
    const { id, channels, cluster, host } = process;
    const queued = world.network.longestQueue(host);
    // What cannot be repeated may take as much again, but is little here.
    if (queued > queueBytesMax) faults.push(`${id} keeps ${queued} bytes for one peer`);
    const { bytes } = channels.hub.log;
    if (bytes > options.log.logBytesMax) faults.push(`${id} remembers ${bytes} bytes`);
    const { messagesWaiting, holesOpen } = cluster.stats;
    if (messagesWaiting > holesOpen * REPAIR_WAITING_MAX) {
      faults.push(`${id} keeps ${messagesWaiting} messages behind ${holesOpen} holes`);
    }
  }
  return faults;
}
