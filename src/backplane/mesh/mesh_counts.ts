import type { LinkErrorCode } from "../../errors.ts";
import type { BackplaneStats } from "../backplane.ts";

/** What a mesh counts. Counters only grow. */
export class MeshCounts {
  /** Links whose handshake was done. */
  linksOpened = 0;
  /** Connections that ended before their handshake was done. */
  handshakesFailed = 0;
  /** Connections that were tried. */
  dials = 0;
  /** Connections that could not be opened. */
  dialsFailed = 0;
  /** Names that could not be looked up. */
  lookupsFailed = 0;
  /** Payloads received. */
  payloadsIn = 0;
  /** Payloads sent. */
  payloadsOut = 0;
  /** Bytes received. */
  bytesIn = 0;
  /** Bytes sent. */
  bytesOut = 0;
  /** Messages not sent as too many bytes waited; the log repeats them. */
  messagesDropped = 0;
  /** Connections closed for new ones, as too many had proved nothing. */
  strangersTurnedAway = 0;
  /** Frames of types that this version does not know. */
  framesUnknown = 0;
  /** Time in which this node stood still, in ms. */
  stalledMs = 0;
  readonly #faults = new Map<LinkErrorCode, number>();

  /** Counts a link that ended for this reason. */
  fault(code: LinkErrorCode): void {
    this.#faults.set(code, (this.#faults.get(code) ?? 0) + 1);
  }

  /** All of it, the faults by their code as `faults_…`. */
  snapshot(): BackplaneStats {
    const faults = [...this.#faults].map(([code, count]) => [`faults_${code}`, count]);
    return { ...this, ...Object.fromEntries(faults) };
  }
}
