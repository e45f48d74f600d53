import { type Machine, type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import type { RedisError } from "../../errors.ts";
import type { TcpAddress } from "../../runtime/tcp.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { WireOutput } from "./redis_output.ts";
import type { RoleDemand } from "./role_watch.ts";

/** What a topology asks of its driver and tells its owner. */
export type TopologyOutput =
  | WireOutput
  /** Other servers are in charge than before. */
  | { readonly kind: "changed" }
  /** Nobody could tell who is in charge. It goes on asking. */
  | { readonly kind: "failed"; readonly error: RedisError };

/** Which servers there are, and which of them is in charge of a channel. */
export interface Topology extends Machine<DialerInput | Wake, TopologyOutput> {
  /** Whether channels are sharded, as in a Redis Cluster. */
  readonly isSharded: boolean;
  /** What a server has to be. */
  readonly role: RoleDemand;
  /** The servers to be connected with. */
  readonly addresses: readonly TcpAddress[];
  /** The server in charge of a Redis channel, or `undefined` while none is known. */
  addressOf(channel: string): TcpAddress | undefined;
  /** A server is lost, or says that it is not in charge: ask again, soon. */
  look(now: Millis): void;
  /** Ends what it has open. */
  close(now: Millis): void;
}

/** One server, which is in charge of everything. */
export class SingleTopology implements Topology {
  readonly isSharded = false;
  readonly role = "unchanged";
  readonly addresses: readonly TcpAddress[];
  readonly deadline = undefined;

  /** Takes the server's address. */
  constructor(address: TcpAddress) {
    this.addresses = [address];
  }

  addressOf(_channel: string): TcpAddress | undefined {
    return this.addresses[0];
  }

  handle(_input: DialerInput | Wake, _now: Millis): void {}

  take(): TopologyOutput[] {
    return NO_OUTPUTS;
  }

  look(_now: Millis): void {}

  close(_now: Millis): void {}
}
