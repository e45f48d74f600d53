import { PresenceError } from "./errors.ts";

/** Somebody who waits for the application to decide. */
export interface PendingJoin {
  readonly channel: string;
  readonly member: string;
  /** The name of the connection, if it has one. */
  readonly connection: string | undefined;
}

/**
 * Joins that wait for the application to decide: what ends them before they have begun calls them
 * off, or a connection that is over would be there for ever. Internal.
 */
export class PendingJoins {
  readonly #joins = new Map<string | undefined, Set<PendingJoin>>();

  /** Starts to wait. */
  add(join: PendingJoin): PendingJoin {
    const joins = this.#joins.get(join.connection);
    if (joins === undefined) this.#joins.set(join.connection, new Set([join]));
    else joins.add(join);
    return join;
  }

  /**
   * Makes sure that a join was not called off.
   *
   * @throws {PresenceError} `cancelled` if it was.
   */
  confirm(join: PendingJoin): void {
    if (this.#joins.get(join.connection)?.has(join) === true) return;
    const { channel, member } = join;
    const what = `${JSON.stringify(member)} to ${JSON.stringify(channel)}`;
    const message = `Cannot admit ${what}: it has left, or its connection has ended`;
    throw new PresenceError("cancelled", message);
  }

  /** A connection leaves a channel as a member. */
  leave({ channel, member, connection }: PendingJoin): void {
    for (const join of [...this.#joins.get(connection) ?? []]) {
      if (join.channel === channel && join.member === member) this.remove(join);
    }
  }

  /** A connection has ended. */
  disconnect(connection: string): void {
    this.#joins.delete(connection);
  }

  /** Waits no longer, or calls off. */
  remove(join: PendingJoin): void {
    const joins = this.#joins.get(join.connection);
    joins?.delete(join);
    if (joins?.size === 0) this.#joins.delete(join.connection);
  }
}
