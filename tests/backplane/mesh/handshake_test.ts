import { deepStrictEqual, match, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, FRAME_TYPE } from "../../../src/backplane/mesh/frame.ts";
import {
  encodeRefusal,
  HANDSHAKE_FRAME_BYTES_MAX,
  type HandshakeResult,
} from "../../../src/backplane/mesh/handshake.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import {
  converse,
  createHandshakeContext,
  type HandshakeActor,
  HandshakeSide,
  readFrames,
} from "../../support/handshake_side.ts";
import { joinBytes } from "../../support/join_bytes.ts";

function meet(
  dialler: Partial<HandshakeActor> = {},
  acceptor: Partial<HandshakeActor> = {},
): { dialler: HandshakeSide; acceptor: HandshakeSide; said: [Uint8Array, Uint8Array] } {
  const sides = {
    dialler: new HandshakeSide("dialler", { id: "a~1", ...dialler }),
    acceptor: new HandshakeSide("acceptor", { id: "b~1", ...acceptor }),
  };
  return { ...sides, said: converse(sides.dialler, sides.acceptor) };
}

function codeOf(result: HandshakeResult | undefined): string | undefined {
  return result?.kind === "failed" ? result.code : result?.kind;
}

const typesOf = (bytes: Uint8Array): number[] => readFrames(bytes).map(({ type }) => type);

/** Puts something else in place of one frame. */
function tamper(
  bytes: Uint8Array,
  type: number,
  change: (body: Uint8Array) => Uint8Array,
): Uint8Array {
  return joinBytes(
    readFrames(bytes).map((frame) => {
      return encodeFrame(frame.type, frame.type === type ? change(frame.body) : frame.body);
    }),
  );
}

const knows = (text: Uint8Array, what: string): boolean =>
  new TextDecoder("latin1").decode(text).includes(what);

test("two nodes with the same secret learn who the other is, and name their link alike", () => {
  const { dialler, acceptor, said } = meet({ identity: { features: 7 } });
  ok(dialler.result?.kind === "done" && acceptor.result?.kind === "done");
  deepStrictEqual(dialler.result.peer, acceptor.context.identity);
  deepStrictEqual(acceptor.result.peer, dialler.context.identity);
  strictEqual(dialler.result.version, 1);
  strictEqual(dialler.result.token, acceptor.result.token);
  match(dialler.result.token, /^[0-9a-f]{64}$/);
  deepStrictEqual(typesOf(said[0]), [1, 2, 3, 2]);
  deepStrictEqual(typesOf(said[1]), [1, 3, 2]);
});

test("a handshake is read in pieces of any size", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  for (let round = 0; round < 3; round++) {
    for (const byte of dialler.speak()) acceptor.hear(Uint8Array.of(byte));
    for (const byte of acceptor.speak()) dialler.hear(Uint8Array.of(byte));
  }
  deepStrictEqual([codeOf(dialler.result), codeOf(acceptor.result)], ["done", "done"]);
});

test("two handshakes of the same nodes have nothing in common but who they are", () => {
  const [one, other] = [meet(), meet()];
  ok(one.dialler.result?.kind === "done" && other.dialler.result?.kind === "done");
  notDeepStrictEqual(one.dialler.result.token, other.dialler.result.token);
  const proofs = [...one.said, ...other.said].flatMap((bytes) =>
    readFrames(bytes).filter(({ type }) => type === FRAME_TYPE.proof).map(({ body }) =>
      String(body)
    )
  );
  strictEqual(new Set(proofs).size, 6);
});

test("a dialler with another secret is refused, and is told so", () => {
  for (const [mine, theirs] of [["t", "s"], ["", "s"], ["s", ""], ["ss", "s"]]) {
    const { dialler, acceptor } = meet({ secret: mine! }, { secret: theirs! });
    ok(acceptor.result?.kind === "failed");
    strictEqual(acceptor.result.code, "secret_wrong");
    strictEqual(acceptor.result.isTold, true);
    strictEqual(dialler.result, undefined);
  }
});

test("an acceptor with another secret is found out by a dialler that it cannot check", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const context = createHandshakeContext({ id: "b~1", secret: "t" });
  // It takes any proof, and sends one of its own.
  const digests = { ...context.digests, equal: () => true };
  converse(dialler, new HandshakeSide("acceptor", { ...context, digests }));
  strictEqual(codeOf(dialler.result), "secret_wrong");
});

test("nodes of different clusters refuse each other by name", () => {
  const { dialler, acceptor } = meet({ cluster: "blue" }, { cluster: "green" });
  ok(dialler.result?.kind === "failed");
  strictEqual(dialler.result.code, "cluster_wrong");
  strictEqual(dialler.result.detail, 'cluster "green", here "blue"');
  strictEqual(dialler.result.isTold, true);
  strictEqual(acceptor.result, undefined);
});

test("an acceptor refuses a dialler of another cluster that did not care", () => {
  const context = createHandshakeContext({ id: "a~1", cluster: "blue" });
  let isAsked = 0;
  // It claims the acceptor's cluster while it checks, and its own while it speaks.
  const identity = context.identity;
  const shifty = {
    ...context,
    get identity() {
      return { ...identity, cluster: isAsked++ === 0 ? "green" : "blue" };
    },
  };
  const dialler = new HandshakeSide("dialler", shifty);
  const acceptor = new HandshakeSide("acceptor", { id: "b~1", cluster: "green" });
  converse(dialler, acceptor);
  strictEqual(codeOf(acceptor.result), "cluster_wrong");
});

test("P12: nodes speak the newest version that both know", () => {
  for (
    const [mine, theirs, version] of [
      [[1, 1], [1, 2], 1],
      [[1, 2], [1, 1], 1],
      [[1, 2], [2, 3], 2],
      [[1, 9], [3, 7], 7],
    ] as const
  ) {
    const { dialler, acceptor } = meet(
      { versions: { min: mine[0], max: mine[1] } },
      { versions: { min: theirs[0], max: theirs[1] } },
    );
    ok(dialler.result?.kind === "done" && acceptor.result?.kind === "done");
    deepStrictEqual([dialler.result.version, acceptor.result.version], [version, version]);
  }
});

test("nodes without a common version refuse each other, and say which they speak", () => {
  for (
    const [mine, theirs] of [
      [[1, 1], [2, 3]],
      [[2, 3], [1, 1]],
      [[0, 0], [1, 1]],
      [[9, 1], [1, 1]],
    ] as const
  ) {
    const { acceptor } = meet(
      { versions: { min: mine[0], max: mine[1] } },
      { versions: { min: theirs[0], max: theirs[1] } },
    );
    ok(acceptor.result?.kind === "failed");
    strictEqual(acceptor.result.code, "version_unsupported");
    strictEqual(
      acceptor.result.detail,
      `versions ${mine[0]} to ${mine[1]}, here ${theirs[0]} to ${theirs[1]}`,
    );
  }
});

test("P12: fields that a newer version adds to a frame are skipped, and proved all the same", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  const longer = tamper(
    dialler.speak(),
    FRAME_TYPE.hello,
    (body) => joinBytes([body, Uint8Array.of(1, 2, 3)]),
  );
  acceptor.hear(longer);
  strictEqual(acceptor.result, undefined);
  dialler.hear(acceptor.speak());
  acceptor.hear(dialler.speak());
  // The dialler did not say those fields: a change on the way is found.
  strictEqual(codeOf(acceptor.result), "secret_wrong");
});

test("P12: a newer node, whose frames are longer, is linked", () => {
  const longer = (side: HandshakeSide): HandshakeSide => {
    const { writer } = side.context;
    const finish = writer.finish.bind(writer);
    writer.finish = () => joinBytes([finish(), Uint8Array.of(9, 9, 9, 9, 9)]);
    return side;
  };
  const newer = createHandshakeContext({ id: "b~1", versions: { min: 1, max: 2 } });
  const acceptor = longer(new HandshakeSide("acceptor", newer));
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  converse(dialler, acceptor);
  deepStrictEqual([codeOf(dialler.result), codeOf(acceptor.result)], ["done", "done"]);
});

test("a recorded handshake of a dialler cannot be replayed", () => {
  const [recorded] = meet().said;
  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  acceptor.hear(recorded);
  strictEqual(codeOf(acceptor.result), "secret_wrong");
  deepStrictEqual(typesOf(acceptor.speak()), [FRAME_TYPE.hello]);
});

test("a recorded handshake of an acceptor cannot be replayed", () => {
  const [, recorded] = meet().said;
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  dialler.speak();
  dialler.hear(recorded);
  strictEqual(codeOf(dialler.result), "secret_wrong");
  deepStrictEqual(typesOf(dialler.speak()), [FRAME_TYPE.proof]);
});

test("a peer that says back what it hears proves nothing, on either side", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  dialler.hear(dialler.speak());
  strictEqual(codeOf(dialler.result), "self_dialled");

  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  acceptor.hear(new HandshakeSide("dialler", { id: "x~1", secret: "t" }).speak());
  acceptor.hear(acceptor.speak());
  strictEqual(codeOf(acceptor.result), "greeting_invalid");
});

test("a dialler's proof cannot be sent back to it as the acceptor's", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const impostor = new HandshakeSide("acceptor", { id: "x~1", secret: "t" });
  impostor.hear(dialler.speak());
  dialler.hear(impostor.speak());
  const [proof] = readFrames(dialler.speak());
  const identity = readFrames(meet().said[1])[1]!;
  dialler.hear(encodeFrame(identity.type, identity.body));
  dialler.hear(encodeFrame(proof!.type, proof!.body));
  strictEqual(codeOf(dialler.result), "secret_wrong");
});

test("an acceptor's proof cannot be sent back to it as the dialler's", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  acceptor.hear(dialler.speak());
  dialler.hear(acceptor.speak());
  acceptor.hear(dialler.speak());
  const [identity, proof] = readFrames(acceptor.speak());
  acceptor.hear(encodeFrame(identity!.type, identity!.body));
  acceptor.hear(encodeFrame(proof!.type, proof!.body));
  strictEqual(codeOf(acceptor.result), "secret_wrong");
});

test("nothing of a handshake can be changed on the way, by a single bit", () => {
  const [fromDialler, fromAcceptor] = meet().said.map((bytes) => readFrames(bytes));
  for (const [role, frames] of [["dialler", fromDialler], ["acceptor", fromAcceptor]] as const) {
    for (const [index, { type, body }] of frames!.entries()) {
      for (let at = 0; at < body.byteLength; at++) {
        const outcome = corrupt(role, index, at);
        ok(outcome !== "done", `${role}, frame ${index} of type ${type}, byte ${at}: ${outcome}`);
      }
    }
  }
});

/** Flips a bit in one frame that one side sends. Returns how the other side sees the end. */
function corrupt(role: "dialler" | "acceptor", index: number, at: number): string | undefined {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
  let count = 0;
  const pass = (bytes: Uint8Array, from: string): Uint8Array =>
    joinBytes(
      readFrames(bytes).map(({ type, body }) => {
        if (from !== role || count++ !== index) return encodeFrame(type, body);
        const changed = body.slice();
        changed[at]! ^= 1;
        return encodeFrame(type, changed);
      }),
    );
  for (let round = 0; round < 3; round++) {
    acceptor.hear(pass(dialler.speak(), "dialler"));
    dialler.hear(pass(acceptor.speak(), "acceptor"));
  }
  return codeOf(role === "dialler" ? acceptor.result : dialler.result);
}

test("a handshake that is cut off at any byte is not done, and gives nothing away", () => {
  const { said } = meet({ identity: { name: "HUSH" } }, { identity: { name: "SECRECY" } });
  for (let end = 0; end < said[0].byteLength; end++) {
    const acceptor = new HandshakeSide("acceptor", { id: "b~1", identity: { name: "SECRECY" } });
    acceptor.hear(said[0].subarray(0, end));
    ok(codeOf(acceptor.result) !== "done");
    ok(!knows(acceptor.speak(), "SECRECY"));
  }
  for (let end = 0; end < said[1].byteLength; end++) {
    const dialler = new HandshakeSide("dialler", { id: "a~1", identity: { name: "HUSH" } });
    dialler.hear(said[1].subarray(0, end));
    ok(codeOf(dialler.result) !== "done");
    ok(!knows(dialler.speak(), "HUSH"));
  }
});

test("P11: nothing about a node is told before its peer has proved the secret", () => {
  const marks = ["HUSH", "CLUSTER", "a~1", "host:1"];
  const identity = { name: "HUSH", address: "host:1" };
  const actor: HandshakeActor = { id: "a~1", cluster: "CLUSTER", identity };
  const stranger: HandshakeActor = { id: "x~1", secret: "t" };
  const dialler = new HandshakeSide("dialler", actor);
  const acceptor = new HandshakeSide("acceptor", actor);
  const [fromDialler] = converse(dialler, new HandshakeSide("acceptor", stranger));
  const [, fromAcceptor] = converse(new HandshakeSide("dialler", stranger), acceptor);
  for (const said of [fromDialler, fromAcceptor]) {
    for (const mark of marks) ok(!knows(said, mark), mark);
  }
});

test("P11: a stranger that connects gets no proof to try out secrets on", () => {
  const { said } = meet({ secret: "guess" });
  deepStrictEqual(typesOf(said[1]), [FRAME_TYPE.hello]);
});

test("a node that meets itself knows it, whichever side it looks from", () => {
  const context = createHandshakeContext({ id: "a~1" });
  const dialler = new HandshakeSide("dialler", context);
  const acceptor = new HandshakeSide("acceptor", context);
  acceptor.hear(dialler.speak());
  ok(acceptor.result?.kind === "failed");
  strictEqual(acceptor.result.code, "self_dialled");
  strictEqual(acceptor.result.isTold, true);
  dialler.hear(refusal("self_dialled"));
  strictEqual(codeOf(dialler.result), "self_dialled");
});

test("a node with the same id, met by another way, is this node too", () => {
  const { dialler } = meet({ id: "a~1" }, { id: "a~1" });
  strictEqual(codeOf(dialler.result), "self_dialled");
});

test("P11: a stranger cannot make a node believe that it met itself", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  dialler.speak();
  dialler.hear(refusal("self_dialled"));
  strictEqual(codeOf(dialler.result), "peer_gone");
});

test("a dialler that is linked already gives up when it knows whom it dialled", () => {
  const { dialler, acceptor } = meet({ acquaintance: { isLinked: true, lostToken: "" } });
  deepStrictEqual(dialler.result, {
    kind: "failed",
    code: "duplicate",
    detail: "there is a link already",
    peer: "b~1",
    isTold: true,
  });
  strictEqual(acceptor.result, undefined);
});

test("a dialler says which link it lost, and an acceptor does not", () => {
  const { dialler, acceptor } = meet(
    { acquaintance: { isLinked: false, lostToken: "t1" } },
    { acquaintance: { isLinked: true, lostToken: "t2" } },
  );
  ok(dialler.result?.kind === "done" && acceptor.result?.kind === "done");
  deepStrictEqual([dialler.result.predecessor, acceptor.result.predecessor], ["", "t1"]);
});

test("a refusal is believed for its code, if it is one that a node may give", () => {
  for (
    const [told, code] of [
      ["secret_wrong", "secret_wrong"],
      ["cluster_wrong", "cluster_wrong"],
      ["version_unsupported", "version_unsupported"],
      ["duplicate", "duplicate"],
      ["connect_failed", "peer_gone"],
      ["closed", "peer_gone"],
      ["nonsense", "peer_gone"],
      ["__proto__", "peer_gone"],
    ] as const
  ) {
    const dialler = new HandshakeSide("dialler", { id: "a~1" });
    dialler.hear(refusal(told));
    ok(dialler.result?.kind === "failed");
    strictEqual(dialler.result.code, code);
    strictEqual(dialler.result.isTold, false);
    strictEqual(dialler.result.peer, undefined);
  }
});

test("what a refusal says is quoted and cut short, so that it cannot forge a log", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  dialler.hear(refusal("secret_wrong", `a\nfake line\u001b[2J${"x".repeat(2_000)}`));
  ok(dialler.result?.kind === "failed");
  match(dialler.result.detail, /^refused by the peer: "a\\nfake line\\u001b\[2Jx+"$/);
  ok(dialler.result.detail.length < 400);
});

test("a refusal that cannot be read is one all the same", () => {
  const dialler = new HandshakeSide("dialler", { id: "a~1" });
  dialler.hear(encodeFrame(FRAME_TYPE.refuse, Uint8Array.of(255, 255)));
  strictEqual(codeOf(dialler.result), "peer_gone");
});

test("whatever is no greeting ends the handshake, and is not answered", () => {
  const hello = readFrames(new HandshakeSide("dialler", { id: "a~1" }).speak())[0]!.body;
  const bodies = [
    new Uint8Array(0),
    new TextEncoder().encode("GET / HTTP/1.1"),
    hello.subarray(0, hello.byteLength - 1),
    joinBytes([Uint8Array.of(1), hello.subarray(1)]),
    // A nonce that is too short, and says so.
    joinBytes([hello.subarray(0, 6), Uint8Array.of(0, 0, 0, 1, 9)]),
  ];
  const frames = bodies.map((body) => encodeFrame(FRAME_TYPE.hello, body));
  for (const type of [0, 2, 3, 5, 6, 7, 8, 9, 200]) frames.push(encodeFrame(type, hello));
  for (const frame of frames) {
    const acceptor = new HandshakeSide("acceptor", { id: "b~1" });
    acceptor.hear(frame);
    ok(acceptor.result?.kind === "failed");
    strictEqual(acceptor.result.code, "greeting_invalid");
    strictEqual(acceptor.result.isTold, false);
    strictEqual(acceptor.speak().byteLength, 0);
  }
});

test("a frame out of turn ends the handshake at every step", () => {
  const turns = { dialler: [1, 3, 2], acceptor: [1, 2, 3, 2] } as const;
  for (const role of ["dialler", "acceptor"] as const) {
    for (let step = 0; step < turns[role].length; step++) {
      for (const type of [0, 1, 2, 3, 5, 6, 7, 8, 9, 99]) {
        if (type === turns[role][step]) continue;
        const result = interrupt(role, step, type);
        strictEqual(codeOf(result), "greeting_invalid", `${role} ${step} ${type}`);
      }
    }
  }
});

/** Lets a side hear so many frames of its peer, then one that does not belong. */
function interrupt(
  role: "dialler" | "acceptor",
  step: number,
  type: number,
): HandshakeResult | undefined {
  const side = new HandshakeSide(role, { id: "a~1" });
  const peer = new HandshakeSide(role === "dialler" ? "acceptor" : "dialler", { id: "b~1" });
  for (let heard = 0; heard < step;) {
    peer.hear(side.speak());
    for (const frame of readFrames(peer.speak())) {
      if (heard++ < step) side.hear(encodeFrame(frame.type, frame.body));
    }
  }
  side.hear(encodeFrame(type, new Uint8Array(40)));
  return side.result;
}

test("an identity that cannot be read, or says too much, is refused", () => {
  for (
    const identity of [
      { id: "" },
      { id: "x".repeat(301) },
      { name: "x".repeat(301) },
      { address: "x".repeat(301) },
    ]
  ) {
    const { dialler } = meet({}, { identity });
    strictEqual(codeOf(dialler.result), "frame_invalid", JSON.stringify(identity).slice(0, 40));
  }
});

test("the longest refusal fits into a handshake frame", () => {
  const name = "\ud800".repeat(255);
  const { dialler } = meet({ cluster: name }, { cluster: `${name.slice(1)}\u0000` });
  ok(dialler.result?.kind === "failed");
  const { code, detail } = dialler.result;
  ok(encodeRefusal(new ByteWriter(), code, detail).byteLength < HANDSHAKE_FRAME_BYTES_MAX);
});

test("a dialler's nonce is remembered while it dials, and no longer", () => {
  const context = createHandshakeContext({ id: "a~1" });
  const dialler = new HandshakeSide("dialler", context);
  strictEqual(context.ownNonces.size, 1);
  dialler.handshake.close();
  dialler.handshake.close();
  strictEqual(context.ownNonces.size, 0);
  dialler.hear(meet().said[1]);
  strictEqual(dialler.result, undefined);
});

function refusal(code: string, reason = "so"): Uint8Array {
  const writer = new ByteWriter();
  writer.text(code);
  writer.text(reason);
  return encodeFrame(FRAME_TYPE.refuse, writer.finish());
}
