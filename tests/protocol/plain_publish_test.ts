import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { decodeMessage } from "../../src/protocol/codec.ts";
import { readPlainPublish } from "../../src/protocol/plain_publish.ts";

const SEEDS: readonly number[] = Array.from({ length: 20 }, (_, index) => index + 1);
const LINES_PER_SEED = 5_000;
const encoder = new TextEncoder();

/**
 * Whether a line of ASCII is read as plain. What is must be the message that `decodeMessage` reads.
 */
function isPlain(line: string): boolean {
  const bytes = encoder.encode(line);
  const message = readPlainPublish(bytes);
  if (message === undefined) return false;
  deepStrictEqual(message, decodeMessage(line), JSON.stringify(line));
  strictEqual(message.data.buffer, bytes.buffer);
  return true;
}

/** All orders of some items. */
function ordersOf<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, index) =>
    ordersOf(items.toSpliced(index, 1)).map((others) => [item, ...others])
  );
}

const TYPE = '"type":"publish"';
const CHANNEL = '"channel":"news"';
const DATA = '"data":"x"';
const BASE = `{${TYPE},${CHANNEL},${DATA}}`;

const PLAIN: readonly string[] = [
  ...ordersOf([TYPE, CHANNEL, DATA]).map((fields) => `{${fields}}`),
  ...ordersOf([TYPE, CHANNEL, DATA, '"id":17']).map((fields) => `{${fields}}`),
  `{${TYPE},${CHANNEL},"data":""}`,
  `{${TYPE},${CHANNEL},"data":" {}"}`,
  `{${TYPE},${CHANNEL},"data":"}],:/'0\u007f"}`,
  `{${TYPE},${CHANNEL},"data":"type"}`,
  `{${TYPE},${CHANNEL},"data":"publish","id":0}`,
  `{${TYPE},${CHANNEL},${DATA},"id":999999999999999}`,
  `{${TYPE},${CHANNEL},"data":"${"x".repeat(900)}"}`,
  `{${TYPE},"channel":"${"c".repeat(64)}",${DATA}}`,
  `{${TYPE},"channel":"data",${DATA}}`,
  `{${TYPE},"channel":"__proto__",${DATA}}`,
];

for (const line of PLAIN) {
  test(`readPlainPublish() reads ${line.slice(0, 90)}`, () => {
    ok(isPlain(line));
  });
}

// May be in order, or not: it is for others to find out.
const NOT_PLAIN: readonly string[] = [
  "",
  "{",
  "}",
  "{}",
  "[]",
  "null",
  '"',
  "{,}",
  `{${TYPE}}`,
  `{${CHANNEL},${DATA}}`,
  `{${TYPE},${DATA}}`,
  `{${TYPE},${CHANNEL}}`,
  `{"type":"ping",${CHANNEL},${DATA}}`,
  `{"type":"broadcast",${DATA}}`,
  `{"type":"Publish",${CHANNEL},${DATA}}`,
  `{"type":"publis",${CHANNEL},${DATA}}`,
  `{"type":"publishh",${CHANNEL},${DATA}}`,
  `{"Type":"publish",${CHANNEL},${DATA}}`,
  `{"types":"publish",${CHANNEL},${DATA}}`,
  `{"type":1,${CHANNEL},${DATA}}`,
  `{${TYPE},${TYPE},${CHANNEL},${DATA}}`,
  `{"type":"ping",${TYPE},${CHANNEL},${DATA}}`,
  `{${TYPE},"type":"ping",${CHANNEL},${DATA}}`,
  `{${TYPE},${CHANNEL},"channel":"other",${DATA}}`,
  `{${TYPE},${CHANNEL},"channel":"",${DATA}}`,
  `{${TYPE},${CHANNEL},"channel":7,${DATA}}`,
  `{${TYPE},${CHANNEL},${DATA},"data":"y"}`,
  `{${TYPE},${CHANNEL},${DATA},"data":7}`,
  `{${TYPE},${CHANNEL},${DATA},"id":1,"id":2}`,
  `{${TYPE},${CHANNEL},${DATA},"id":1,"id":"2"}`,
  `{${TYPE},${CHANNEL},${DATA},"qos":0}`,
  `{${TYPE},${CHANNEL},${DATA},"id":1,"qos":1}`,
  `{${TYPE},${CHANNEL},${DATA},"exclude":true}`,
  `{${TYPE},${CHANNEL},${DATA},"more":"x"}`,
  `{${TYPE},${CHANNEL},${DATA},"":"x"}`,
  `{${TYPE},${CHANNEL},${DATA},"__proto__":"x"}`,
  `{"__proto__":{${TYPE}},${CHANNEL},${DATA}}`,
  `{${TYPE},${CHANNEL},${DATA},"toString":1}`,
  `{${TYPE},${CHANNEL},"data":"a\\"b"}`,
  `{${TYPE},${CHANNEL},"data":"a\\\\"}`,
  `{${TYPE},${CHANNEL},"data":"a\\"}`,
  `{${TYPE},${CHANNEL},"data":"a\\u0041"}`,
  `{${TYPE},"channel":"a\\u0041",${DATA}}`,
  `{"\\u0074ype":"publish",${CHANNEL},${DATA}}`,
  `{"type":"p\\u0075blish",${CHANNEL},${DATA}}`,
  ...["\u0000", "\t", "\n", "\r", "\u001f"].flatMap((control) => [
    `{${TYPE},${CHANNEL},"data":"a${control}b"}`,
    `{${TYPE},"channel":"a${control}b",${DATA}}`,
  ]),
  `{${TYPE},"channel":"a\u007fb",${DATA}}`,
  `{${TYPE},"channel":"",${DATA}}`,
  `{${TYPE},"channel":"${"c".repeat(256)}",${DATA}}`,
  ...["1", "-1", "true", "null", "[]", "{}", '["x"]', '{"a":"x"}', "", "x"].map((data) =>
    `{${TYPE},${CHANNEL},"data":${data}}`
  ),
  ...["-1", "-0", "00", "01", "1.0", "1e3", "1E3", "+1", "0x1", '"1"', "null", "", " 1", "1 "].map(
    (id) => `{${TYPE},${CHANNEL},${DATA},"id":${id}}`,
  ),
  ...["9007199254740991", "9007199254740992", "9007199254740993", "1".repeat(40)].map((id) =>
    `{${TYPE},${CHANNEL},${DATA},"id":${id}}`
  ),
  ...[" ", "\t", "\n", "\r"].flatMap((space) => [
    `${space}${BASE}`,
    `${BASE}${space}`,
    `{${space}${TYPE},${CHANNEL},${DATA}}`,
    `{${TYPE}${space},${CHANNEL},${DATA}}`,
    `{${TYPE},${space}${CHANNEL},${DATA}}`,
    `{${TYPE},"channel"${space}:"news",${DATA}}`,
    `{${TYPE},"channel":${space}"news",${DATA}}`,
    `{${TYPE},${CHANNEL},${DATA}${space}}`,
  ]),
  `{${TYPE},${CHANNEL},${DATA},}`,
  `{,${TYPE},${CHANNEL},${DATA}}`,
  `{${TYPE},,${CHANNEL},${DATA}}`,
  `{${TYPE};${CHANNEL};${DATA}}`,
  `{${TYPE}${CHANNEL}${DATA}}`,
  `[${TYPE},${CHANNEL},${DATA}]`,
  `,${TYPE},${CHANNEL},${DATA}}`,
  `{'type':'publish','channel':'news','data':'x'}`,
  `${BASE}}`,
  `${BASE},`,
  `${BASE}\u0000`,
  `${BASE}\n${BASE}`,
  `${BASE}${BASE}`,
];

for (const line of NOT_PLAIN) {
  test(`readPlainPublish() leaves ${JSON.stringify(line).slice(0, 90)} to others`, () => {
    strictEqual(isPlain(line), false);
  });
}

test("readPlainPublish() reads a channel of any length as it is, or leaves it to others", () => {
  for (let length = 0; length <= 260; length++) {
    isPlain(`{${TYPE},"channel":"${"c".repeat(length)}",${DATA}}`);
  }
});

test("readPlainPublish() reads an id of any number of digits as it is, or leaves it to others", () => {
  for (let digits = 1; digits <= 40; digits++) {
    for (const digit of ["0", "1", "9"]) {
      const line = `{${TYPE},${CHANNEL},${DATA},"id":${digit.repeat(digits)}}`;
      const isShort = digits <= 15 && (digit !== "0" || digits === 1);
      strictEqual(isPlain(line), isShort, line);
    }
  }
});

test("readPlainPublish() reads from its view alone, whatever stands around it", () => {
  const bytes = encoder.encode(`"${BASE}${BASE}`);
  const view = bytes.subarray(1, 1 + BASE.length);
  deepStrictEqual(readPlainPublish(view), decodeMessage(BASE));
  for (let length = 0; length < BASE.length; length++) {
    strictEqual(readPlainPublish(view.subarray(0, length)), undefined, `${length} bytes`);
  }
});

// Each of them is plain, and a byte more, less or other may be anything.
const SAMPLES: readonly string[] = [
  BASE,
  `{"id":105,${DATA},${CHANNEL},${TYPE}}`,
  `{${DATA},"id":0,${TYPE},"channel":"id"}`,
  `{${TYPE},${CHANNEL},"data":"a,}"}`,
];

for (const sample of SAMPLES) {
  test(`with any byte of ${sample} another, one more or one less it is read as it is, or left`, () => {
    ok(isPlain(sample));
    for (let at = 0; at <= sample.length; at++) {
      const [before, behind] = [sample.slice(0, at), sample.slice(at + 1)];
      isPlain(before + behind);
      isPlain(before + sample[at] + sample.slice(at));
      for (let code = 0; code < 128; code++) {
        const character = String.fromCharCode(code);
        isPlain(before + character + behind);
        isPlain(before + character + sample.slice(at));
      }
    }
  });
}

const NAMES = [
  "type",
  "channel",
  "data",
  "id",
  "qos",
  "exclude",
  "__proto__",
  "",
  "Data",
  "i\\u0064",
];
const STRINGS = [
  "publish",
  "ping",
  "",
  "a",
  "news/1",
  "id",
  "\u007f",
  "\t",
  "\\n",
  "\\",
  "c".repeat(64),
  "c".repeat(65),
  "c".repeat(256),
];
const NUMBERS = ["0", "7", "105", "00", "07", "-1", "1.5", "1e3", "9".repeat(15), "9".repeat(16)];
const OTHERS = ["null", "true", "{}", "[]", '{"type":"publish"}', ""];
const SPACES = ["", "", "", "", "", "", "", " ", "\n", "\t"];

for (const seed of SEEDS) {
  test(`whatever is read of generated lines is what they say, seed ${seed}`, () => {
    const random = createPrng(seed);
    let plainCount = 0;
    for (let count = 0; count < LINES_PER_SEED; count++) if (isPlain(draw(random))) plainCount++;
    ok(plainCount > LINES_PER_SEED / 20, `${plainCount} of ${LINES_PER_SEED} are plain`);
  });
}

/** A line that is plain, nearly so, or looks like it. */
function draw(random: Prng): string {
  const isWild = random() < 0.7;
  const fields = isWild
    ? Array.from({ length: random() * 6 }, () => drawField(random))
    : shuffle([TYPE, `"channel":"c${Math.floor(random() * 99)}"`, DATA], random);
  if (isWild && random() < 0.7) fields.push(...shuffle([TYPE, CHANNEL, DATA], random));
  if (random() < 0.5) fields.push(`"id":${pick(NUMBERS, random)}`);
  const line = `{${shuffle(fields, random).join(",")}}`;
  return random() < 0.8 ? line : mutate(line, random);
}

function drawField(random: Prng): string {
  const space = (): string => random() < 0.05 ? pick(SPACES, random) : "";
  const value = random() < 0.6
    ? `"${pick(STRINGS, random)}"`
    : pick(random() < 0.7 ? NUMBERS : OTHERS, random);
  return `${space()}"${pick(NAMES, random)}"${space()}:${space()}${value}${space()}`;
}

function mutate(line: string, random: Prng): string {
  const at = Math.floor(random() * (line.length + 1));
  const character = pick([...'"\\{}:,0 a\u0000\u007f'], random);
  return line.slice(0, at) + (random() < 0.5 ? character : "") +
    line.slice(at + (random() < 0.7 ? 1 : 0));
}

function shuffle<Item>(items: readonly Item[], random: Prng): Item[] {
  const shuffled = [...items];
  for (let left = shuffled.length; left > 1;) {
    const at = Math.floor(random() * left--);
    [shuffled[at], shuffled[left]] = [shuffled[left]!, shuffled[at]!];
  }
  return shuffled;
}

function pick<Item>(items: readonly Item[], random: Prng): Item {
  return items[Math.floor(random() * items.length)]!;
}
