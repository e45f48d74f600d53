import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FaultEvent, PeerEvent, TypedEventTarget } from "../src/events.ts";

class Source extends TypedEventTarget<{ readonly peerconnected: PeerEvent }> {}

test("a listener gets the very event, until it is removed or has been called once", () => {
  const source = new Source();
  const heard: string[] = [];
  const always = (event: PeerEvent): void => void heard.push(`always ${event.name}`);
  source.addEventListener("peerconnected", always);
  source.addEventListener("peerconnected", (event) => heard.push(`once ${event.name}`), {
    once: true,
  });
  for (const name of ["a", "b"]) {
    source.dispatchEvent(new PeerEvent("peerconnected", { id: `${name}~1`, name }));
  }
  source.removeEventListener("peerconnected", always);
  source.dispatchEvent(new PeerEvent("peerconnected", { id: "c~1", name: "c" }));
  deepStrictEqual(heard, ["always a", "once a", "always b"]);
});

test("events carry their facts", () => {
  const peer = { id: "a~1", name: "a", reason: "died" } as const;
  const { type, peer: id, name, reason } = new PeerEvent("peerdisconnected", peer);
  deepStrictEqual([type, id, name, reason], ["peerdisconnected", "a~1", "a", "died"]);
  const error = new Error("broken");
  const fault = new FaultEvent(error);
  strictEqual(fault.type, "fault");
  strictEqual(fault.error, error);
});
