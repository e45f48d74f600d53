import type { BackplaneStats } from "../backplane.ts";

/** What a Redis backplane counts. Counters only grow. */
export class RedisCounts {
  /** Payloads received. */
  payloadsIn = 0;
  /** Payloads handed over to be sent. */
  payloadsOut = 0;
  /** Packets published: payloads to the same node in one tick travel in one. */
  packetsOut = 0;
  /** Packets of other nodes that came in. */
  packetsIn = 0;
  /** Packets of this node that came back, as it listens to what it publishes. */
  packetsOwn = 0;
  /** Packets that could not be read, or are of a newer kind. */
  packetsUnknown = 0;
  /** Packets not sent: the server was lost, or refused them. The log repeats messages. */
  packetsDropped = 0;
  /** Messages not sent as too many bytes waited. The log repeats them. */
  messagesDropped = 0;
  /** Payloads of nodes that had not said who they are. They are asked, and repeat them. */
  payloadsOfStrangers = 0;
  /** Bytes received. */
  bytesIn = 0;
  /** Bytes sent. */
  bytesOut = 0;
  /** Times that the way over a server was lost. */
  breaks = 0;
  /** Times that a connection was there and brought nothing, and was built anew. */
  deaf = 0;

  /** All of it. */
  snapshot(): BackplaneStats {
    return Object.fromEntries(Object.entries(this));
  }
}
