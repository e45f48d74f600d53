import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { channelNameFault } from "../../src/protocol/channel_name.ts";

const VALID: readonly (readonly [name: string, channel: string])[] = [
  ["one character", "a"],
  ["a path with spaces and quotes", 'a/b c."d"\\e'],
  ["255 bytes of ASCII", "a".repeat(255)],
  ["254 bytes in two-byte characters", "é".repeat(127)],
  ["255 bytes in three-byte characters", "€".repeat(85)],
  ["252 bytes in surrogate pairs", "😀".repeat(63)],
  ["255 bytes that end in a surrogate pair", "a".repeat(251) + "😀"],
  ["the first character behind the C1 controls", "\u00a0"],
  ["the last character before DEL", "~"],
  ["the name of an object's member", "__proto__"],
  ["characters around the surrogates", "\ud7ff\ue000\uffff"],
];

const INVALID: readonly (readonly [name: string, channel: string, fault: RegExp])[] = [
  ["nothing", "", /1 to 255 bytes/],
  ["256 bytes of ASCII", "a".repeat(256), /1 to 255 bytes/],
  ["256 bytes in two-byte characters", "é".repeat(128), /1 to 255 bytes/],
  ["256 bytes that end in a two-byte character", "a".repeat(254) + "é", /1 to 255 bytes/],
  ["258 bytes in three-byte characters", "€".repeat(86), /1 to 255 bytes/],
  ["256 bytes in surrogate pairs", "😀".repeat(64), /1 to 255 bytes/],
  ["a million characters", "a".repeat(1_000_000), /1 to 255 bytes/],
  ["NUL", "\u0000", /control/],
  ["a newline", "a\nb", /control/],
  ["the last C0 control", "a\u001f", /control/],
  ["DEL", "\u007f", /control/],
  ["the first C1 control", "\u0080", /control/],
  ["the last C1 control", "é\u009f", /control/],
  ["a high surrogate at the end", "a\ud83d", /surrogate/],
  ["a high surrogate before a letter", "\ud83da", /surrogate/],
  ["two high surrogates", "\ud83d\ud83d", /surrogate/],
  ["a low surrogate alone", "\ude00", /surrogate/],
];

for (const [name, channel] of VALID) {
  test(`channelNameFault() accepts ${name}`, () => {
    strictEqual(channelNameFault(channel), undefined);
  });
}

for (const [name, channel, fault] of INVALID) {
  test(`channelNameFault() refuses ${name}`, () => {
    match(channelNameFault(channel) ?? "accepted", fault);
  });
}

test("channelNameFault() counts bytes as UTF-8 does, at every length around the bound", () => {
  const encoder = new TextEncoder();
  for (const character of ["a", "é", "€", "😀"]) {
    for (let count = 1; count < 260; count++) {
      for (const padding of ["", "x", "xy", "xyz"]) {
        const name = character.repeat(count) + padding;
        const fits = encoder.encode(name).byteLength <= 255;
        strictEqual(channelNameFault(name) === undefined, fits, `${count} of ${character}`);
      }
    }
  }
});
