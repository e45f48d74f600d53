/**
 * A connection to one node at a time: it subscribes to one channel and is a member there, and moves
 * to another node when its own is gone.
 *
 * @module
 */

/** @import { RosterMessage } from "./roster.js" */

/** @typedef {{ name: string, url: string }} Address A node that can be connected to. */

/**
 * @typedef {{ kind: "connecting", node: string }
 *   | { kind: "open", node: string, awayMs: number | undefined }
 *   | { kind: "lost", node: string }} ClientStatus
 */

/** @typedef {{ channel: string, data: unknown, node: string, seq: number }} ChannelMessage */

/**
 * `choose` names the node to try next; `problem` tells of something that the server refused.
 *
 * @typedef {{ choose: (lost: string) => Address | undefined,
 *   status: (status: ClientStatus) => void,
 *   message: (message: ChannelMessage) => void,
 *   roster: (message: RosterMessage) => void,
 *   problem: (text: string) => void }} ClientHandler
 */

const RETRY_MS = 100;
const OPEN_TIME_LIMIT_MS = 3_000;
/** A member whose node died is back only after all others have seen it go. */
const REJOIN_MS = 1_500;

/** One client. */
export class NodeClient {
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #joinTimer;
  /** @type {number | undefined} */
  #lostAt;
  #requestId = 0;
  #node = "";
  #channel;
  #member;
  #handler;

  /**
   * @param {string} channel
   * @param {string} member Who it is.
   * @param {ClientHandler} handler
   */
  constructor(channel, member, handler) {
    this.#channel = channel;
    this.#member = member;
    this.#handler = handler;
  }

  /** The name of the node that it is, or tries to be, connected to. */
  get node() {
    return this.#node;
  }

  /**
   * Leaves its node, if it has one, and connects to another.
   *
   * @param {Address} address
   */
  connect(address) {
    clearTimeout(this.#timer);
    this.#drop();
    this.#node = address.name;
    this.#handler.status({ kind: "connecting", node: address.name });
    const socket = new WebSocket(address.url.replace(/^http/, "ws"), "chorus.v1");
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lose(socket), OPEN_TIME_LIMIT_MS);
    socket.onopen = () => this.#send({ type: "subscribe", channel: this.#channel });
    socket.onclose = () => this.#lose(socket);
    socket.onmessage = (event) => {
      // One frame holds all that the node had to say in a tick, one line each.
      for (const line of String(event.data).split("\n")) this.#receive(JSON.parse(line));
    };
  }

  /** @param {string} channel */
  changeChannel(channel) {
    if (channel === this.#channel) return;
    clearTimeout(this.#joinTimer);
    this.#send({ type: "leave", channel: this.#channel });
    this.#send({ type: "unsubscribe", channel: this.#channel });
    this.#channel = channel;
    this.#send({ type: "subscribe", channel });
  }

  /**
   * @param {unknown} data
   * @returns {boolean} Whether there was a node to send it to.
   */
  publish(data) {
    return this.#send({ type: "publish", channel: this.#channel, data });
  }

  /** @param {Readonly<Record<string, unknown>>} message */
  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ ...message, id: ++this.#requestId }));
    return true;
  }

  /** @param {{ type: string } & Record<string, unknown>} message */
  #receive(message) {
    switch (message.type) {
      case "subscribed": {
        clearTimeout(this.#timer);
        const awayMs = this.#lostAt === undefined ? undefined : performance.now() - this.#lostAt;
        this.#lostAt = undefined;
        this.#handler.status({ kind: "open", node: this.#node, awayMs });
        this.#send({ type: "members", channel: this.#channel, follow: true });
        this.#joinTimer = setTimeout(() => this.#join(), awayMs === undefined ? 0 : REJOIN_MS);
        return;
      }
      case "members":
      case "presence":
        if (message["channel"] !== this.#channel) return;
        this.#handler.roster(/** @type {RosterMessage} */ (/** @type {unknown} */ (message)));
        return;
      case "message":
        if (message["channel"] !== this.#channel) return;
        this.#handler.message(/** @type {ChannelMessage} */ (/** @type {unknown} */ (message)));
        return;
      case "gap":
        this.#handler.problem(`messages in ${message["channel"]} are beyond repair`);
        return;
      case "error":
        this.#handler.problem(String(message["message"]));
    }
  }

  #join() {
    const meta = { node: this.#node };
    this.#send({ type: "join", channel: this.#channel, member: this.#member, meta });
  }

  /** @param {WebSocket} socket */
  #lose(socket) {
    if (socket !== this.#socket) return;
    this.#drop();
    this.#lostAt ??= performance.now();
    this.#handler.status({ kind: "lost", node: this.#node });
    clearTimeout(this.#timer);
    const again = () => {
      const address = this.#handler.choose(this.#node);
      if (address !== undefined) this.connect(address);
      else this.#timer = setTimeout(again, RETRY_MS);
    };
    this.#timer = setTimeout(again, RETRY_MS);
  }

  #drop() {
    clearTimeout(this.#joinTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
