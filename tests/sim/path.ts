import type {
  BackplaneHandler,
  BackplaneState,
  BackplaneStats,
} from "../../src/backplane/backplane.ts";
import type { ClusterPath } from "../../src/cluster_core.ts";

/** A backplane as a process of the simulation has it: it starts and stops at once. */
export interface SimulatedPath extends ClusterPath {
  start(handler: BackplaneHandler): BackplaneState;
  stop(): void;
  stats(): BackplaneStats;
}
