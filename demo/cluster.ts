/**
 * Three nodes as three processes, and a page on which a person can watch them: `npm start`,
 * `bun demo/cluster.ts`, `deno task demo`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { DemoCluster, type DemoClusterOptions } from "./demo_cluster.ts";

const HELP = `Three Chorus nodes and a page to watch them.

  --port N          where the page is (default 8080, 0 for any); the nodes take the ports above it
  --cluster-port N  where the first node listens for the others (default 5411, 0 for any)
  --redis URL       let the nodes meet over Redis instead of directly
  --json            print each line as a JSON object
  --help            print this
`;
/** Room above the port for those of the nodes. */
const PORT_MAX = 65_000;

try {
  const options = readOptions();
  if (options === undefined) process.stdout.write(HELP);
  else await new DemoCluster(options).start();
} catch (error) {
  const [line] = (error instanceof Error ? error.message : String(error)).split("\n");
  process.stderr.write(`${line}\n`);
  process.exitCode = 2;
}

function readOptions(): DemoClusterOptions | undefined {
  const { values } = parseArgs({
    options: {
      "port": { type: "string", default: "8080" },
      "cluster-port": { type: "string", default: "5411" },
      "redis": { type: "string" },
      "json": { type: "boolean", default: false },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  return {
    port: readPort("--port", values.port ?? ""),
    clusterPort: readPort("--cluster-port", values["cluster-port"] ?? ""),
    redis: values.redis,
    json: values.json ?? false,
  };
}

function readPort(flag: string, text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= PORT_MAX) return port;
  throw new Error(`Cannot use ${flag} ${text}: expected a port from 0 to ${PORT_MAX}`);
}
