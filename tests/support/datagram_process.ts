// deno-lint-ignore-file no-console -- printing is what this program is for
/**
 * Sends a datagram to a host every 20 ms, and prints a line for each that it gets:
 * `datagram_process.ts OWN-ADDRESS OTHER-ADDRESS PORT`.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import process from "node:process";

const [own, other, port] = process.argv.slice(2);
const socket = createSocket("udp4");
// What cannot be sent is not heard, which is all that matters.
socket.on("error", () => {});
socket.on("message", (_, { address }) => console.log(JSON.stringify({ heard: address })));
socket.bind(Number(port), own, () => {
  setInterval(() => socket.send("here", Number(port), other, () => {}), 20);
});
