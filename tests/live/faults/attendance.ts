import type { FaultCluster, Member } from "./fault_cluster.ts";
import { PresenceClient } from "./presence_client.ts";
import { findDivergence } from "./presence_checker.ts";
import { expectedRoster, type Visit } from "./presence_evidence.ts";
import { until } from "./until.ts";

/** Each of those who come and go does something this often. */
const MOVE_MS = 100;

/**
 * Members on all nodes: one resident on each, who stays and sees who else is there, and two who
 * come and go. One of these is the same member on every node.
 */
export class Attendance {
  /** Every visit, in the order in which they were opened. */
  readonly visits: Visit[] = [];
  readonly #cluster: FaultCluster;
  readonly #clients: PresenceClient[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Nobody is there yet. */
  constructor(cluster: FaultCluster) {
    this.#cluster = cluster;
  }

  /** Connects members to every node. From then on they come and go. */
  async start(): Promise<void> {
    for (const member of this.#cluster.members) {
      await this.join(member);
      const { name } = member.place;
      for (const who of [`mover of ${name}`, "shared mover"]) this.#addMover(member, who);
    }
    this.#timer = setInterval(() => this.#clients.forEach((client) => client.move()), MOVE_MS);
  }

  /** Connects a new resident to a node, and waits until it is there. */
  async join({ place }: Member): Promise<void> {
    const ways = [place];
    const resident = new PresenceClient({
      name: `resident of ${place.name}`,
      memberOn: (node) => `resident of ${node}`,
      isResident: true,
      // It ends with its node, so that it can be seen when the others notice.
      findEndpoint: () => ways.pop(),
      visits: this.visits,
    });
    this.#clients.push(resident);
    await resident.whenThere();
  }

  /** Nobody comes or goes any more; waits until every resident sees just who is there. */
  async settle(timeLimitMs?: number): Promise<void> {
    clearInterval(this.#timer);
    await until("every roster is right", () => {
      return !this.#clients.some((client) => client.isBusy) && findDivergence(this).length === 0;
    }, timeLimitMs);
  }

  /** How many connections are members. */
  get entryCount(): number {
    let count = 0;
    for (const metas of expectedRoster(this.visits).values()) count += metas.length;
    return count;
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  #addMover({ place }: Member, member: string): void {
    let isFirst = true;
    const mover = new PresenceClient({
      name: `${member} from ${place.name}`,
      memberOn: () => member,
      isResident: false,
      findEndpoint: () => {
        const endpoint = isFirst ? place : this.#cluster.findEndpoint();
        isFirst = false;
        return endpoint;
      },
      visits: this.visits,
    });
    this.#clients.push(mover);
  }
}
