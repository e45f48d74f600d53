import { ClusterMap } from "./cluster_map.js";
import { ClusterSource } from "./cluster_state.js";
import { Pane } from "./pane.js";

const VISIBLE_INTERVAL_MS = 150;
const HIDDEN_INTERVAL_MS = 2_000;

const source = new ClusterSource(new URL(location.href));
const map = new ClusterMap(async (name, verb) => {
  if (verb === "kill") { for (const pane of [left, right]) pane.killed(name); }
  await source.order(name, verb);
  await refresh();
});
const left = new Pane(/** @type {HTMLElement} */ (document.getElementById("left")), map);
const right = new Pane(/** @type {HTMLElement} */ (document.getElementById("right")), map);
left.besides(right);
right.besides(left);

async function refresh() {
  const state = await source.read();
  map.show(state);
  left.update(state.nodes, 0);
  right.update(state.nodes, 1);
}

async function watch() {
  await refresh();
  setTimeout(watch, document.hidden ? HIDDEN_INTERVAL_MS : VISIBLE_INTERVAL_MS);
}

await watch();
