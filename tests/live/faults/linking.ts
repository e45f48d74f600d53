import { randomBytes } from "node:crypto";
import { type CutterTarget, LinkCutter } from "../../support/link_cutter.ts";
import type { Place } from "./place.ts";

/**
 * How the nodes of a cluster are linked: over which backplane, and whether what runs between them
 * can be cut. Another backplane is another linking; faults and checks know only this.
 */
export interface Linking {
  /** The flags of `demo/node.ts` that link the node at a place with the others. */
  flagsFor(place: Place): readonly string[];
  /** Drops every connection between nodes at once. Returns how many there were. */
  cut(): number;
  /** Ends what it started. */
  close(): Promise<void>;
}

/** Opens a linking of the nodes at these places. */
export type OpenLinking = (
  places: readonly Place[],
  options: { readonly isCuttable: boolean },
) => Promise<Linking>;

/** The linkings that there are, by the name that `--link` takes. */
export const LINKINGS: Readonly<Record<string, OpenLinking>> = { mesh: openMesh };

// Each node says that it is reached at its proxy, so every link runs through one.
async function openMesh(
  places: readonly Place[],
  { isCuttable }: { readonly isCuttable: boolean },
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
    cut: () => cutters.reduce((count, cutter) => count + cutter.cut(), 0),
    close: async () => void await Promise.all(cutters.map((cutter) => cutter.close())),
  };
}
