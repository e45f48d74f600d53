/**
 * A pane: one client, and what a person sees of it.
 *
 * @module
 */

import { formatMs } from "./cluster_map.js";
import { NodeClient } from "./node_client.js";
import { Roster } from "./roster.js";

/** @import { ClusterMap } from "./cluster_map.js" */
/** @import { ClusterNode } from "./cluster_state.js" */
/** @import { Address, ChannelMessage, ClientStatus } from "./node_client.js" */
/** @import { RosterMessage, Someone } from "./roster.js" */

/** @typedef {{ text: string, pane: string, sentAt: number }} Said What this page publishes. */

const MESSAGES_MAX = 200;
/** Whoever leaves later than that after a kill left for another reason. */
const PURGE_MS_MAX = 10_000;

/** One pane. */
export class Pane {
  #root;
  #map;
  #client;
  /** @type {readonly ClusterNode[]} */
  #nodes = [];
  #id = crypto.randomUUID();
  #member = `guest-${100 + Math.floor(Math.random() * 900)}`;
  #roster = new Roster();
  /** @type {Map<string, number>} */
  #killedAt = new Map();
  /** @type {Pane | undefined} */
  #other;

  /**
   * @param {HTMLElement} root
   * @param {ClusterMap} map
   */
  constructor(root, map) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("pane-template"));
    root.append(template.content.cloneNode(true));
    this.#root = root;
    this.#map = map;
    this.#client = new NodeClient(this.#channelInput.value, this.#member, {
      choose: (lost) => this.#choose(lost),
      status: (status) => this.#showStatus(status),
      message: (message) => this.#showMessage(message),
      roster: (message) => this.#onRoster(message),
      problem: (text) => this.#addEvent(text),
    });
    this.#listen();
  }

  /** The name of its node. */
  get node() {
    return this.#client.node;
  }

  /**
   * Tells which pane stands beside it: after a loss the two stay on different nodes.
   *
   * @param {Pane} other
   */
  besides(other) {
    this.#other = other;
  }

  /**
   * Takes the nodes as they are now. The first time, connects.
   *
   * @param {readonly ClusterNode[]} nodes
   * @param {number} preferred Which node to begin with.
   */
  update(nodes, preferred) {
    this.#nodes = nodes;
    this.#showChoices();
    if (this.node !== "") return;
    const reachable = nodes.filter(isReachable);
    const first = reachable[preferred % reachable.length];
    if (first !== undefined) this.#client.connect(/** @type {Address} */ (first));
  }

  /**
   * A node is killed at this moment: its members are about to vanish.
   *
   * @param {string} node
   */
  killed(node) {
    this.#killedAt.set(node, performance.now());
  }

  get #select() {
    return /** @type {HTMLSelectElement} */ (this.#root.querySelector("[name=node]"));
  }

  get #channelInput() {
    return /** @type {HTMLInputElement} */ (this.#root.querySelector("[name=channel]"));
  }

  get #textInput() {
    return /** @type {HTMLInputElement} */ (this.#root.querySelector("[name=text]"));
  }

  #listen() {
    const label = /** @type {HTMLLabelElement} */ (this.#root.querySelector(".compose label"));
    this.#textInput.id = `${this.#root.id}-text`;
    label.htmlFor = this.#textInput.id;
    this.#select.onchange = () => {
      const node = this.#nodes.find(({ name }) => name === this.#select.value);
      if (node?.url !== undefined) this.#client.connect(/** @type {Address} */ (node));
    };
    this.#channelInput.onchange = () => {
      const channel = this.#channelInput.value.trim();
      if (channel === "") return;
      this.#forgetRoster();
      this.#client.changeChannel(channel);
    };
    const form = /** @type {HTMLFormElement} */ (this.#root.querySelector("form"));
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#publish();
    };
  }

  #publish() {
    const text = this.#textInput.value.trim();
    if (text === "") return;
    /** @type {Said} */
    const said = { text, pane: this.#id, sentAt: performance.timeOrigin + performance.now() };
    if (this.#client.publish(said)) this.#textInput.value = "";
    else this.#addEvent("not sent: there is no connection");
  }

  /**
   * @param {string} lost
   * @returns {Address | undefined}
   */
  #choose(lost) {
    const reachable = this.#nodes.filter(isReachable);
    const others = reachable.filter(({ name }) => name !== this.#other?.node);
    const best = others.find(({ name }) => name !== lost) ?? others[0] ?? reachable[0];
    return /** @type {Address | undefined} */ (best);
  }

  #showChoices() {
    const select = this.#select;
    const choices = this.#nodes.filter(({ url }) => url !== undefined);
    const names = choices.map(({ name }) => name);
    if ([...select.options].map(({ value }) => value).join() !== names.join()) {
      select.replaceChildren(...names.map((name) => new Option(name, name)));
      select.value = this.node;
    }
    choices.forEach((node, index) => {
      const option = /** @type {HTMLOptionElement} */ (select.options[index]);
      option.disabled = !isReachable(node);
    });
  }

  /** @param {ClientStatus} status */
  #showStatus(status) {
    const line = /** @type {HTMLElement} */ (this.#root.querySelector(".status"));
    const { kind, node } = status;
    if (kind === "connecting") this.#forgetRoster();
    line.dataset["state"] = kind;
    this.#root.dataset["node"] = node;
    this.#root.style.setProperty("--node", this.#map.colorOf(node));
    this.#select.value = node;
    if (kind === "connecting") line.textContent = `Connecting to ${node}`;
    if (kind === "lost") {
      line.textContent = `${node} is gone. Looking for a node`;
      this.#addEvent(`${node} is gone`);
    }
    if (kind !== "open") return;
    line.textContent = `Connected to ${node}`;
    const { awayMs } = status;
    this.#addEvent(
      awayMs === undefined ? `connected to ${node}` : `on ${node} after ${formatMs(awayMs)} away`,
    );
  }

  /** @param {RosterMessage} message */
  #onRoster(message) {
    const { joined, left } = this.#roster.apply(message);
    this.#showRoster();
    for (const { member, node } of joined) {
      if (member !== this.#member) this.#addEvent(`${member} is here, on ${node}`);
    }
    for (const someone of left) this.#addEvent(this.#tellLeave(someone));
  }

  /** @param {Someone} someone */
  #tellLeave({ member, node }) {
    const ms = performance.now() - (this.#killedAt.get(node) ?? -Infinity);
    if (ms > PURGE_MS_MAX) return `${member} left`;
    return `${member} is gone with ${node}, ${formatMs(ms)} after it was killed`;
  }

  #forgetRoster() {
    this.#roster.clear();
    this.#showRoster();
  }

  #showRoster() {
    const list = /** @type {HTMLElement} */ (this.#root.querySelector(".roster"));
    list.replaceChildren(...this.#roster.members.map(({ member, node }) => {
      const item = document.createElement("li");
      item.dataset["member"] = member;
      item.style.setProperty("--node", this.#map.colorOf(node));
      item.textContent = member === this.#member ? `${member} (you)` : member;
      item.title = `on ${node}`;
      return item;
    }));
  }

  /** @param {ChannelMessage} message */
  #showMessage({ data, node, seq }) {
    const origin = node.slice(0, node.lastIndexOf("~"));
    const said = isSaid(data) ? data : undefined;
    const item = document.createElement("li");
    item.className = said?.pane === this.#id ? "own" : "theirs";
    item.style.setProperty("--node", this.#map.colorOf(origin));
    const text = document.createElement("span");
    text.className = "text";
    text.textContent = said?.text ?? (typeof data === "string" ? data : JSON.stringify(data));
    const facts = document.createElement("span");
    facts.className = "origin";
    facts.textContent = [`from ${origin}`, `no. ${seq}`, took(said)].filter(Boolean).join(", ");
    item.append(text, facts);
    this.#append(item);
    this.#map.fly(origin, this.node);
  }

  /** @param {string} text */
  #addEvent(text) {
    const item = document.createElement("li");
    item.className = "event";
    item.textContent = text;
    this.#append(item);
  }

  /** @param {HTMLElement} item */
  #append(item) {
    const list = /** @type {HTMLElement} */ (this.#root.querySelector(".messages"));
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(item);
    while (list.childElementCount > MESSAGES_MAX) list.firstElementChild?.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}

/** @param {ClusterNode} node */
function isReachable({ url, state }) {
  return url !== undefined && state === "up";
}

/**
 * @param {unknown} data
 * @returns {data is Said}
 */
function isSaid(data) {
  return typeof data === "object" && data !== null && "text" in data && "pane" in data;
}

// Clocks differ between machines; within this one the difference is the time that it took.
function took(/** @type {Said | undefined} */ said) {
  if (said === undefined) return undefined;
  const ms = performance.timeOrigin + performance.now() - said.sentAt;
  return ms >= 0 && ms < 60_000 ? formatMs(ms) : undefined;
}
