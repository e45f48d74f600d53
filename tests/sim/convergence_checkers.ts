import type { NodeId } from "../../src/core/node.ts";
import { MeshPath } from "./mesh_path.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** Adds to the history what has not converged although all has been calm for long enough. */
export function checkConvergence(world: World, isLossy: boolean): void {
  const { history } = world;
  const processes = world.openProcesses();
  const told = new Map<NodeId, Set<NodeId>>(processes.map(({ id }) => [id, new Set()]));
  for (const { observer, node, isConnected } of history.peerChanges) {
    if (isConnected) told.get(observer)?.add(node);
    else told.get(observer)?.delete(node);
  }
  // What a node published that is only out of reach, as far as the others know, is waited for.
  const mayWait = history.peerChanges.some(({ node, reason }) =>
    reason === "timed_out" && history.lives.get(node)!.end !== "running"
  );
  for (const process of processes) {
    const { id, cluster } = process;
    const expected = processes.map((other) => other.id).filter((other) => other !== id).sort();
    const seen = [...told.get(id)!].sort();
    if (String(seen) !== String(expected)) {
      history.faults.push(`${id} sees [${seen}] in the end, where there are [${expected}]`);
    }
    if (cluster.connectedCount !== seen.length) {
      history.faults.push(
        `${id} counts ${cluster.connectedCount} peers and told of ${seen.length}`,
      );
    }
    history.faults.push(...checkLinks(process, expected.length));
    // Two heartbeats in a row may be lost there at any time.
    if (cluster.isDeaf && !isLossy) history.faults.push(`${id} is deaf in the end`);
    const { holesOpen, acknowledgementsPending } = cluster.stats;
    if (holesOpen > 0 && !mayWait) history.faults.push(`${id} has ${holesOpen} holes in the end`);
    if (acknowledgementsPending > 0) {
      history.faults.push(`${id} waits for ${acknowledgementsPending} acknowledgements in the end`);
    }
  }
}

// A node that is its own seed dials itself now and then, and has both ends of that for a moment.
const SELF_DIALLED = 2;

/** A mesh has one link with each other node, and no connection beside them. */
function checkLinks({ id, paths }: Process, peers: number): string[] {
  const mesh = paths.find((path) => path instanceof MeshPath)?.stats();
  if (mesh === undefined) return [];
  const { links, connections } = mesh;
  if (links === peers && connections! <= peers + SELF_DIALLED) return [];
  return [`${id} has ${links} links and ${connections} connections with ${peers} nodes in the end`];
}
