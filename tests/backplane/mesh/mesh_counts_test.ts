import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MeshCounts } from "../../../src/backplane/mesh/mesh_counts.ts";

test("a snapshot has every counter, and the faults by their code", () => {
  const counts = new MeshCounts();
  for (const value of Object.values(counts.snapshot())) strictEqual(value, 0);
  counts.dials++;
  counts.fault("peer_gone");
  counts.fault("peer_gone");
  counts.fault("secret_wrong");
  const snapshot = counts.snapshot();
  const { dials, faults_peer_gone, faults_secret_wrong } = snapshot;
  deepStrictEqual([dials, faults_peer_gone, faults_secret_wrong], [1, 2, 1]);
  counts.fault("peer_gone");
  strictEqual(snapshot["faults_peer_gone"], 2);
});
