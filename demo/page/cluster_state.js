/**
 * How the cluster is, from the demo's control server where there is one, and otherwise from the
 * node that served this page.
 *
 * @module
 */

/**
 * How a node is. `half`: the node that tells is not sure of it.
 *
 * @typedef {"up" | "starting" | "down" | "half"} NodeState
 */

/**
 * One node. It has a `url` where its clients connect, if that is known here, and `counts` in words.
 *
 * @typedef {{ name: string, url: string | undefined, state: NodeState, counts: string }} ClusterNode
 */

/** @typedef {"up" | "half" | "down"} LinkState */

/**
 * One link between two named nodes: how long the other node took to know that one was gone, and
 * how long it took from a node's start to the link.
 *
 * @typedef {{ ends: readonly [string, string], state: LinkState, fellMs?: number,
 *   healedMs?: number }} ClusterLink
 */

/** @typedef {{ at: number, text: string }} ClusterNote */

/**
 * The cluster. With `hasControl`, nodes can be killed and restarted from here.
 *
 * @typedef {{ nodes: readonly ClusterNode[], links: readonly ClusterLink[],
 *   notes: readonly ClusterNote[], hasControl: boolean }} ClusterState
 */

/**
 * What a node tells of itself.
 *
 * @typedef {{ name: string, peers: { name: string, state: string }[],
 *   clients?: { connected: number }, channels?: { published: number } }} NodeStats
 */

const ANSWER_TIME_LIMIT_MS = 1_000;
const STATS_INTERVAL_MS = 1_000;

/** Asks for the state of the cluster, again and again. */
export class ClusterSource {
  /** @type {URL | undefined} */
  #control;
  /** @type {Map<string, string>} */
  #counts = new Map();
  #countedAt = -Infinity;

  /** @param {URL} page This page's address; `?control=` names a control server elsewhere. */
  constructor(page) {
    this.#control = new URL(page.searchParams.get("control") ?? page.origin);
    this.page = page;
  }

  /** @returns {Promise<ClusterState>} */
  async read() {
    const state = this.#control === undefined ? undefined : await this.#readControl(this.#control);
    return state ?? await this.#readOwnNode();
  }

  /**
   * Kills or restarts a node.
   *
   * @param {string} name
   * @param {string} verb
   */
  async order(name, verb) {
    if (this.#control === undefined) return;
    await fetch(new URL(`/nodes/${name}/${verb}`, this.#control), { method: "POST" });
  }

  /**
   * @param {URL} control
   * @returns {Promise<ClusterState | undefined>}
   */
  async #readControl(control) {
    const answer = await readJson(new URL("/nodes", control));
    if (answer === undefined) return undefined;
    if (answer === "nothing") {
      // A node serves this page by itself, and no control server is anywhere near.
      this.#control = undefined;
      return undefined;
    }
    const { nodes, links, notes } = /** @type {ClusterState} */ (answer);
    await this.#count(nodes);
    return {
      nodes: nodes.map((node) => ({ ...node, counts: this.#counts.get(node.name) ?? "" })),
      links,
      notes,
      hasControl: true,
    };
  }

  /** @param {readonly ClusterNode[]} nodes */
  async #count(nodes) {
    if (performance.now() - this.#countedAt < STATS_INTERVAL_MS) return;
    this.#countedAt = performance.now();
    await Promise.all(nodes.map(async ({ name, url, state }) => {
      const stats = state === "up" && url !== undefined ? await readStats(url) : undefined;
      this.#counts.set(name, stats === undefined ? "" : describeCounts(stats));
    }));
  }

  /** @returns {Promise<ClusterState>} */
  async #readOwnNode() {
    const url = this.page.origin;
    const stats = await readStats(url);
    if (stats === undefined) {
      const node = { name: "node", url, state: /** @type {const} */ ("down"), counts: "" };
      return { nodes: [node], links: [], notes: [], hasControl: false };
    }
    const { name, peers } = stats;
    const own = { name, url, state: /** @type {const} */ ("up"), counts: describeCounts(stats) };
    const state = (/** @type {string} */ peer) => peer === "connected" ? "up" : "half";
    return {
      nodes: [
        own,
        ...peers.map((peer) => ({
          name: peer.name,
          url: undefined,
          state: /** @type {NodeState} */ (state(peer.state)),
          counts: "",
        })),
      ],
      links: peers.map((peer) => ({
        ends: /** @type {const} */ ([name, peer.name]),
        state: /** @type {"up" | "half"} */ (state(peer.state)),
      })),
      notes: [],
      hasControl: false,
    };
  }
}

/**
 * @param {string} url
 * @returns {Promise<NodeStats | undefined>}
 */
async function readStats(url) {
  const answer = await readJson(new URL("/stats", url));
  return answer === "nothing" ? undefined : /** @type {NodeStats | undefined} */ (answer);
}

/**
 * @param {NodeStats} stats
 * @returns {string}
 */
function describeCounts({ clients, channels }) {
  const connections = clients?.connected ?? 0;
  const published = channels?.published ?? 0;
  return `${connections} ${connections === 1 ? "client" : "clients"}, ${published} sent`;
}

/**
 * @param {URL} url
 * @returns {Promise<unknown>} The answer, `"nothing"` when there is no such thing, or `undefined`
 *     when nobody answered.
 */
async function readJson(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIME_LIMIT_MS) });
    return response.ok ? await response.json() : "nothing";
  } catch {
    // A node or a control server that is gone, which the page shows.
    return undefined;
  }
}
