import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { checkEvidence, CHECKS, slowestBystanderMs } from "./checker.ts";
import { createSession, type Evidence, type NodeLife, type Session } from "./evidence.ts";

const CHANNEL = "news";

/** Two nodes, a client on each, and five messages of `one` that both get: one a second. */
function soundEvidence(): Evidence & { readonly sessions: Session[]; readonly lives: NodeLife[] } {
  const lives = ["a", "b"].map((name): NodeLife => ({
    node: `${name}~1`,
    name,
    ending: undefined,
    endedAt: undefined,
    reports: [{ event: "peerconnected", peer: name === "a" ? "b~1" : "a~1" }],
  }));
  const sessions = [["one", "a~1"], ["two", "b~1"]].map(([client = "", node = ""]) =>
    createSession({ id: `${client}.0`, client, node }, [CHANNEL])
  );
  for (const { heard } of sessions) heard.get(CHANNEL)!.confirmedAt = 0;
  for (let index = 0; index < 5; index++) {
    const sentAt = 1_000 * (index + 1);
    sessions[0]!.published.get(CHANNEL)!.push({ sentAt, isTaken: true });
    for (const session of sessions) receive(session, index);
  }
  const fault = {
    startedAt: 0,
    endedAt: 6_000,
    isNoticed: false,
    bystanders: ["a", "b"],
    touchedClients: [],
  };
  return { sessions, lives, fault };
}

function receive(session: Session, index: number): void {
  const sentAt = 1_000 * (index + 1);
  const place = { publisher: "one.0", index, node: "a~1", seq: index + 1 };
  session.heard.get(CHANNEL)!.receipts.push({ ...place, sentAt, at: sentAt + 5 });
}

function hearing(session: Session | undefined): ReturnType<Session["heard"]["get"]> & object {
  return session!.heard.get(CHANNEL)!;
}

test("sound evidence has no findings", () => {
  deepStrictEqual(checkEvidence(soundEvidence()), []);
  strictEqual(slowestBystanderMs(soundEvidence()), 5);
});

type Spoil = (evidence: ReturnType<typeof soundEvidence>) => void;

const SPOILT: readonly (readonly [what: string, spoil: Spoil, finding: RegExp])[] = [
  ["a message that comes twice", ({ sessions }) => receive(sessions[1]!, 4), /twice: two got/],
  ["a message out of order", ({ sessions }) => {
    const { receipts } = hearing(sessions[1]);
    receipts.push(...receipts.splice(1, 1));
  }, /in order: two.0 got one.0 1 in news after 4/],
  ["a message that is lost", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(2, 1);
  }, /nothing is lost.*two lost 1 of one.0 in news: 2 to 2 of 5/],
  ["a loss after the gap that was told", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(4, 1);
    hearing(sessions[1]).gapsAt.push(4_500);
  }, /nothing is lost/],
  ["a loss before the connection broke", ({ sessions, lives }) => {
    breakOff({ sessions, lives });
    hearing(sessions[1]).receipts.splice(0, 1);
  }, /nothing is lost.*0 to 0/],
  ["a loss although all was to be recovered", ({ sessions, lives }) => {
    breakOff({ sessions, lives });
    hearing(sessions[2]).isRecovered = true;
  }, /nothing is lost.*2 to 3/],
  ["a loss long before the crash of the publisher's node", (evidence) => {
    crash(evidence.lives[0]!, 6_000);
    hearing(evidence.sessions[1]).receipts.splice(2, 1);
  }, /nothing is lost/],
  ["a peer that connects twice", ({ lives }) => {
    lives[0]!.reports = [...lives[0]!.reports, ...lives[0]!.reports];
  }, /alternate: a~1 told peerconnected of b~1 twice/],
  ["a node that is missed", ({ lives }) => lives[0]!.reports = [], /a~1 has nobody, not b~1/],
  ["a node that is dead and still there", ({ lives }) => {
    crash(lives[1]!, 3_000);
  }, /a~1 has b~1, not /],
  ["a node that was lost for nothing", ({ lives }) => {
    const peer = "b~1";
    lives[0]!.reports = [
      ...lives[0]!.reports,
      { event: "peerdisconnected", peer },
      { event: "peerconnected", peer },
    ];
  }, /keep each other: a~1 lost b~1/],
  ["a message that took too long", ({ sessions }) => {
    const [first, ...rest] = hearing(sessions[1]).receipts;
    hearing(sessions[1]).receipts.splice(0, 5, { ...first!, at: 3_500 }, ...rest);
  }, /pace: a message took 2500 ms/],
  ["a client that is not connected in the end", ({ sessions }) => {
    sessions[1]!.closedAt = 7_000;
  }, /two is not connected/],
  ["an error that a client was told", ({ sessions }) => {
    sessions[1]!.errors.push("internal: oh");
  }, /two.0: internal: oh/],
];

for (const [what, spoil, finding] of SPOILT) {
  test(`${what} is found`, () => {
    const evidence = soundEvidence();
    spoil(evidence);
    match(checkEvidence(evidence).join("\n"), finding);
  });
}

test("a fault that nodes must notice is one that they report", () => {
  const { fault, ...evidence } = soundEvidence();
  const findings = checkEvidence({ ...evidence, fault: { ...fault, isNoticed: true } });
  deepStrictEqual(findings.map((text) => text.split(": ").at(-1)), ["nobody noticed"]);
});

const EXCUSED: readonly (readonly [what: string, excuse: Spoil])[] = [
  ["a gap was told", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(2, 1);
    hearing(sessions[1]).gapsAt.push(3_500);
  }],
  ["the client was not connected", breakOff],
  ["its node had not confirmed the subscription", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(2, 1);
    hearing(sessions[1]).missing = ["a~1"];
  }],
  ["nobody took it", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(4, 1);
    sessions[0]!.published.get(CHANNEL)![4]!.isTaken = false;
  }],
  ["it was sent before the subscription was confirmed", ({ sessions }) => {
    hearing(sessions[1]).receipts.splice(0, 1);
    hearing(sessions[1]).confirmedAt = 1_500;
  }],
  ["its node crashed just then", ({ sessions, lives }) => {
    hearing(sessions[1]).receipts.splice(4, 1);
    crash(lives[0]!, 5_500);
  }],
];

for (const [why, excuse] of EXCUSED) {
  test(`a message may be missing where ${why}`, () => {
    const evidence = soundEvidence();
    excuse(evidence);
    const losses = CHECKS.find(({ promise }) => promise.includes("nothing is lost"))!;
    deepStrictEqual(losses.find(evidence), []);
  });
}

function crash(life: NodeLife, endedAt: number): void {
  life.ending = "crashed";
  life.endedAt = endedAt;
}

/** The second client loses its connection after two messages, and is back for the last one. */
function breakOff({ sessions }: { sessions: Session[]; lives: NodeLife[] }): void {
  const [, first] = sessions;
  hearing(first).receipts.splice(2);
  first!.closedAt = 2_500;
  const second = createSession({ id: "two.1", client: "two", node: "b~1" }, [CHANNEL]);
  hearing(second).confirmedAt = 4_500;
  receive(second, 4);
  sessions.push(second);
}
