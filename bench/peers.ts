/**
 * What is measured against, installed from npm into a folder of its own: peers are no dependencies.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The newest of each on npm, so that two runs measure the same. */
const PEERS = {
  "@socket.io/redis-adapter": "8.3.0",
  "ioredis": "6.0.0",
  "redis": "6.3.1",
  "socket.io": "4.8.4",
} as const;

/** The folder that the peers are resolved from. */
export const PEERS_FOLDER: string = join(tmpdir(), "chorus-bench", "peers");

/** Names peers with their versions. */
export function describePeers(...names: (keyof typeof PEERS)[]): string {
  return names.map((name) => `${name} ${PEERS[name]}`).join(", ");
}

/** Installs the peers, unless that was done before. */
export function installPeers(): void {
  const wanted = JSON.stringify({ private: true, dependencies: PEERS });
  const path = join(PEERS_FOLDER, "package.json");
  const lock = join(PEERS_FOLDER, "package-lock.json");
  if (existsSync(lock) && readFileSync(path, "utf8") === wanted) return;
  mkdirSync(PEERS_FOLDER, { recursive: true });
  writeFileSync(path, wanted);
  const flags = ["--silent", "--no-audit", "--no-fund"];
  execFileSync("npm", ["install", ...flags], { cwd: PEERS_FOLDER, stdio: "inherit" });
}
