/**
 * The drawing of the nodes and their links, and the list beside it.
 *
 * @module
 */

/** @import { ClusterLink, ClusterNode, ClusterNote, ClusterState } from "./cluster_state.js" */

/** @typedef {{ x: number, y: number }} Place */

const SVG = "http://www.w3.org/2000/svg";
const CENTER = { x: 160, y: 92 };
const RADIUS = { x: 122, y: 92 };
/** The first node stands at the upper left, where the left pane is; the second at the upper right. */
const FIRST_ANGLE = (210 / 180) * Math.PI;
const DISC_RADIUS = 24;
const FLIGHT_MS = 520;
const NOTES_SHOWN_MAX = 6;
const COLORS = 4;

const NODE_STATES = { up: "up", starting: "starting", down: "down", half: "suspect" };

/** Shows the cluster. Elements are made once and changed in place, so that focus stays. */
export class ClusterMap {
  #svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (byId("map")));
  #list = byId("nodes");
  #notes = byId("notes");
  #template = /** @type {HTMLTemplateElement} */ (byId("node-template"));
  /** @type {Map<string, SVGElement>} */
  #shapes = new Map();
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  /** @type {string[]} */
  #names = [];
  #order;

  /** @param {(name: string, verb: string) => void} order Kills or restarts a node. */
  constructor(order) {
    this.#order = order;
  }

  /** @param {ClusterState} state */
  show(state) {
    const names = state.nodes.map(({ name }) => name);
    if (names.join() !== this.#names.join()) this.#reset(names);
    state.links.forEach((link) => this.#showLink(link));
    for (const node of state.nodes) {
      this.#showDisc(node);
      this.#showRow(node, state.hasControl);
    }
    this.#showNotes(state.notes);
    this.#svg.setAttribute("aria-label", describe(state));
  }

  /**
   * Returns the colour that stands for a node.
   *
   * @param {string} name
   */
  colorOf(name) {
    const index = this.#names.indexOf(name);
    return index < 0 ? "var(--quiet)" : `var(--node-${index % COLORS})`;
  }

  /**
   * Shows that a message went from one node to another.
   *
   * @param {string} from
   * @param {string} to
   */
  fly(from, to) {
    const known = this.#names.includes(from) && this.#names.includes(to);
    if (!known || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const [start, end] = [this.#placeOf(from), this.#placeOf(to)];
    const isLocal = from === to;
    const shape = create("circle", { class: isLocal ? "ripple" : "spark", r: isLocal ? 24 : 7 });
    shape.style.setProperty("--node", this.colorOf(from));
    this.#svg.append(shape);
    const steps = isLocal
      ? [{ transform: at(start, 1), opacity: 1 }, { transform: at(start, 1.6), opacity: 0 }]
      : [{ transform: at(start, 1) }, { transform: at(end, 1) }];
    const flight = shape.animate(steps, { duration: FLIGHT_MS, easing: "ease-in-out" });
    flight.onfinish = () => shape.remove();
  }

  /** @param {string[]} names */
  #reset(names) {
    this.#names = names;
    this.#shapes.clear();
    this.#rows.clear();
    this.#svg.replaceChildren();
    this.#list.replaceChildren();
  }

  /** @param {string} name */
  #placeOf(name) {
    const turn = (this.#names.indexOf(name) / this.#names.length) * 2 * Math.PI;
    const angle = FIRST_ANGLE + turn;
    return {
      x: CENTER.x + RADIUS.x * Math.cos(angle),
      y: CENTER.y + RADIUS.y * Math.sin(angle),
    };
  }

  /** @param {ClusterLink} link */
  #showLink({ ends: [a, b], state, fellMs, healedMs }) {
    const [from, to] = [this.#placeOf(a), this.#placeOf(b)];
    const line = this.#shape(`line ${a} ${b}`, "line", {
      "class": "link",
      "data-link": `${a}-${b}`,
    });
    set(line, { x1: from.x, y1: from.y, x2: to.x, y2: to.y, "data-state": state });
    const label = this.#shape(`label ${a} ${b}`, "text", {
      "class": "link-label",
      "data-link": `${a}-${b}`,
    });
    set(label, besideLink(from, to));
    const text = labelOf(state, fellMs, healedMs);
    if (label.textContent !== text) label.textContent = text;
  }

  /** @param {ClusterNode} node */
  #showDisc({ name, state }) {
    const { x, y } = this.#placeOf(name);
    const looks = state === "half" ? "starting" : state;
    const disc = this.#shape(`disc ${name}`, "circle", { class: "disc", r: DISC_RADIUS });
    set(disc, { cx: x, cy: y, "data-state": looks });
    disc.style.setProperty("--node", this.colorOf(name));
    const text = this.#shape(`name ${name}`, "text", { class: "disc-name" });
    set(text, { x, y, "data-state": looks });
    if (text.textContent !== name) text.textContent = name;
  }

  /**
   * @param {ClusterNode} node
   * @param {boolean} hasControl
   */
  #showRow({ name, url, state, counts }, hasControl) {
    const row = this.#row(name);
    const part = (
      /** @type {string} */ selector,
    ) => /** @type {HTMLElement} */ (row.querySelector(selector));
    const link = part(".name");
    if (url !== undefined && hasControl) {
      link.setAttribute("href", `${url}/?control=${encodeURIComponent(controlOrigin())}`);
    }
    const stateText = part(".state");
    stateText.dataset["state"] = state;
    setText(stateText, NODE_STATES[state]);
    setText(part(".counts"), state === "up" ? counts : "");
    const button = /** @type {HTMLButtonElement} */ (part(".order"));
    const verb = state === "down" ? "restart" : "kill";
    button.hidden = !hasControl;
    button.disabled = state === "starting";
    button.dataset["verb"] = verb;
    setText(button, verb === "kill" ? "Kill" : "Restart");
    button.setAttribute("aria-label", `${verb === "kill" ? "Kill" : "Restart"} node ${name}`);
  }

  /** @param {readonly ClusterNote[]} notes */
  #showNotes(notes) {
    byId("notes-title").hidden = notes.length === 0;
    const newest = notes.slice(-NOTES_SHOWN_MAX).reverse();
    const key = newest.map(({ at: time, text }) => `${time} ${text}`).join("\n");
    if (this.#notes.dataset["shown"] === key) return;
    this.#notes.dataset["shown"] = key;
    this.#notes.replaceChildren(...newest.map((note) => {
      const time = document.createElement("time");
      time.textContent = new Date(note.at).toLocaleTimeString("en-GB");
      const item = document.createElement("li");
      item.append(time, note.text);
      return item;
    }));
  }

  /** @param {string} name */
  #row(name) {
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const copy = /** @type {DocumentFragment} */ (this.#template.content.cloneNode(true));
    const row = /** @type {HTMLElement} */ (copy.firstElementChild);
    row.style.setProperty("--node", this.colorOf(name));
    row.dataset["node"] = name;
    setText(/** @type {HTMLElement} */ (row.querySelector(".name")), name);
    const button = /** @type {HTMLButtonElement} */ (row.querySelector(".order"));
    button.onclick = () => this.#order(name, button.dataset["verb"] ?? "");
    this.#list.append(row);
    this.#rows.set(name, row);
    return row;
  }

  /**
   * @param {string} key
   * @param {string} tag
   * @param {Readonly<Record<string, string | number>>} attributes
   */
  #shape(key, tag, attributes) {
    const shape = this.#shapes.get(key) ?? create(tag, attributes);
    if (!this.#shapes.has(key)) this.#svg.append(shape);
    this.#shapes.set(key, shape);
    return shape;
  }
}

/**
 * Returns where a link's label stands: outside of the drawing's middle, clear of the line.
 *
 * @param {Place} from
 * @param {Place} to
 */
function besideLink(from, to) {
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const side = middle.x - CENTER.x;
  if (Math.abs(side) < 1) {
    return { x: middle.x, y: middle.y + (middle.y < CENTER.y ? -10 : 20), "text-anchor": "middle" };
  }
  const outwards = Math.sign(side);
  const x = middle.x + outwards * 10;
  return { x, y: middle.y + 10, "text-anchor": outwards < 0 ? "end" : "start" };
}

/** @param {ClusterState} state */
function describe({ nodes, links }) {
  return [
    ...nodes.map(({ name, state }) => `node ${name} is ${NODE_STATES[state]}`),
    ...links.map(({ ends, state }) =>
      `the link between ${ends.join(" and ")} is ${state === "half" ? "changing" : state}`
    ),
  ].join(", ");
}

/**
 * @param {ClusterLink["state"]} state
 * @param {number | undefined} fellMs
 * @param {number | undefined} healedMs
 */
function labelOf(state, fellMs, healedMs) {
  if (state === "down") return fellMs === undefined ? "down" : `down after ${formatMs(fellMs)}`;
  if (state === "half") return "…";
  return healedMs === undefined ? "up" : `up after ${formatMs(healedMs)}`;
}

/** Returns a span of time as people say it. */
export function formatMs(/** @type {number} */ ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function controlOrigin() {
  return new URL(location.href).searchParams.get("control") ?? location.origin;
}

/**
 * @param {Place} place
 * @param {number} scale
 */
function at({ x, y }, scale) {
  return `translate(${x}px, ${y}px) scale(${scale})`;
}

/**
 * @param {string} tag
 * @param {Readonly<Record<string, string | number>>} attributes
 * @returns {SVGElement}
 */
function create(tag, attributes) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  set(element, attributes);
  return element;
}

/**
 * @param {Element} element
 * @param {Readonly<Record<string, string | number>>} attributes
 */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
