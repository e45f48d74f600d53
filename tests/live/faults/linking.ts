import { randomBytes } from "node:crypto";
import { type CutterTarget, LinkCutter } from "../../support/link_cutter.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import type { Place } from "./place.ts";

/**
 * How the nodes of a cluster are linked: over which backplane, and whether what runs between them
 * can be cut. Another backplane is another linking; faults and checks know only this.
 */
export interface Linking {
  /** The flags of `demo/node.ts` that link the node at a place with the others. */
  flagsFor(place: Place): readonly string[];
  /** The Redis server between the nodes, if there is one. */
  readonly server?: RedisServer;
  /** How long after their start nodes need until they know a dead one within a second, in ms. */
  readonly trustMs: number;
  /** Drops every connection between nodes at once. Returns how many there were. */
  cut(): Promise<number>;
  /** Ends what it started. */
  close(): Promise<void>;
}

/** How to link nodes. */
export interface LinkingOptions {
  /** Whether `cut` is to work. */
  readonly isCuttable: boolean;
  /** Where a server between the nodes runs. */
  readonly hub: Pick<Place, "hostname" | "within">;
}

/** Opens a linking of the nodes at these places. */
export type OpenLinking = (
  places: readonly Place[],
  options: LinkingOptions,
) => Promise<Linking>;

/** The linkings that there are, by the name that `--link` takes. */
export const LINKINGS: Readonly<Record<string, OpenLinking>> = { mesh: openMesh, redis: openRedis };

/** After a break everybody subscribes anew, so absence proves nothing for so long. */
const REDIS_TRUST_MS = 5_500;

// Each node says that it is reached at its proxy, so every link runs through one.
async function openMesh(
  places: readonly Place[],
  { isCuttable }: LinkingOptions,
): Promise<Linking> {
  const secret = randomBytes(16).toString("hex");
  const targets: CutterTarget[] = places.map(({ clusterHostname: hostname, clusterPort: port }) => {
    return { hostname, port };
  });
  const cutters = isCuttable
    ? await Promise.all(targets.map((target) => LinkCutter.start(target)))
    : [];
  const addressOf = (index: number): string => {
    const { clusterHostname, clusterPort } = places[index]!;
    const cutter = cutters[index];
    return cutter === undefined ? `${clusterHostname}:${clusterPort}` : `127.0.0.1:${cutter.port}`;
  };
  return {
    trustMs: 0,
    flagsFor: (place) => {
      const own = places.indexOf(place);
      const { clusterHostname, clusterPort } = place;
      const flags = ["--cluster-host", clusterHostname, "--cluster-port", `${clusterPort}`];
      flags.push("--secret", secret, "--advertise", addressOf(own));
      for (const index of places.keys()) {
        if (index !== own) flags.push("--peer", addressOf(index));
      }
      return flags;
    },
    cut: () => Promise.resolve(cutters.reduce((count, cutter) => count + cutter.cut(), 0)),
    close: async () => void await Promise.all(cutters.map((cutter) => cutter.close())),
  };
}

async function openRedis(_places: readonly Place[], { hub }: LinkingOptions): Promise<Linking> {
  // Without a password, a server serves nobody from elsewhere.
  const password = randomBytes(16).toString("hex");
  const server = await startRedis({ ...hub, password });
  return {
    server,
    trustMs: REDIS_TRUST_MS,
    flagsFor: () => ["--redis", server.url.replace("://", `://:${password}@`)],
    cut: async () => {
      let count = 0;
      for (const type of ["normal", "pubsub"]) {
        count += Number(await server.cli("client", "kill", "type", type, "skipme", "yes"));
      }
      return count;
    },
    close: () => server.stop(),
  };
}
