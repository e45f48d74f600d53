/** Starts a node whose Redis is away, and stops it: what `two_backplanes_test.ts` runs. @module */

import process from "node:process";
import { Cluster, mesh, redis } from "../../mod.ts";

const cluster = new Cluster([mesh({ port: 0 }), redis({ port: 1 })]);
const told = new Promise((resolve) => cluster.addEventListener("fault", resolve));
await cluster.start();
await told;
await cluster.stop();
process.stdout.write(`${JSON.stringify({ event: "stopped" })}\n`);
