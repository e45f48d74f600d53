import type { Millis } from "../../src/core/machine.ts";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import type { NodeId } from "../../src/core/node.ts";
import { checkBounds } from "./bound_checkers.ts";
import { Chance } from "./chance.ts";
import { checkDelivery } from "./delivery_checkers.ts";
import { checkConvergence } from "./convergence_checkers.ts";
import { checkMembership } from "./membership_checkers.ts";
import { checkPresence } from "./presence_checkers.ts";
import { checkLatest, checkRosters } from "./roster_checkers.ts";
import { AMPLE_LOG, drawOptions, type SimulationOptions } from "./options.ts";
import { World } from "./world.ts";

/** What came of a run. */
export interface SimulationResult {
  readonly seed: number;
  readonly options: SimulationOptions;
  /** What broke a promise, as sentences. None if all is well. */
  readonly faults: readonly string[];
  readonly virtualMs: Millis;
  readonly published: number;
  readonly delivered: number;
  readonly gaps: number;
  /** Joins, updates and leaves that nodes told. */
  readonly memberChanges: number;
  readonly injected: number;
  readonly events: number;
  /** The same for two runs that did the same. */
  readonly traceHash: number;
}

const START_MS = 1_000;
const STEP_MS = 500;
const PROBE_MS = 5_000;
const STOP_MS = 2_000;
const SETTLE_MS = 5_000;

/** Runs one seed: faults, then calm in which everything must converge, then the end. */
export function simulate(
  seed: number,
  how: {
    readonly change?: (options: SimulationOptions) => SimulationOptions;
    readonly write?: ((line: string) => void) | undefined;
  } = {},
): SimulationResult {
  const chance = new Chance(seed);
  const drawn = drawOptions(chance.split());
  const options = how.change?.(drawn) ?? drawn;
  const world = new World(options, chance.split(), how.write);
  const { history, schedule } = world;
  try {
    runPhases(world, chance.split());
  } catch (error) {
    // Code that throws has broken a promise too.
    history.faults.push(error instanceof Error ? error.stack ?? error.message : String(error));
  }
  return {
    seed,
    options,
    faults: history.faults,
    virtualMs: schedule.now,
    published: history.publications.length,
    delivered: history.deliveredCount,
    gaps: history.stays.reduce(
      (sum, { items }) => sum + items.filter(({ kind }) => kind === "gap").length,
      0,
    ),
    memberChanges: history.memberChanges.length,
    injected: world.faults.count,
    events: schedule.runCount,
    traceHash: world.trace.hash,
  };
}

function runPhases(world: World, chance: Chance): void {
  const { options, schedule } = world;
  for (const machine of world.machines) {
    schedule.in(chance.between(0, START_MS), () => world.startProcess(machine));
  }
  for (let count = 0; count < options.clientCount; count++) {
    schedule.in(chance.between(0, 2 * START_MS), () => world.addClient());
  }
  schedule.in(2 * START_MS, () => world.faults.start());
  run(world, options.faultyMs);
  world.faults.stop();
  world.trace.line("phase", "calm");
  for (const client of world.clients) client.calm();
  for (const process of world.openProcesses()) world.addProbe(process);
  run(world, options.calmMs);
  checkConvergence(world, losesDatagrams(world));
  checkRosters(world);
  renew(world);
  probe(world);
  stop(world);
}

// One after the other has other metadata: for each member that of the last one must show.
function renew(world: World): void {
  world.trace.line("phase", "renew");
  for (const { attendee } of world.clients) {
    attendee.renew();
    run(world, STEP_MS);
  }
  if (losesDatagrams(world)) return;
  // What a broker has overtake another word of its node waits for a heartbeat, and so may be unknown
  // to whoever says the next: then neither is the later.
  if (world.options.backplanes !== "broker") checkLatest(world);
  checkRosters(world);
}

// Everybody says one thing in every channel, and everybody who listens must hear it.
function probe(world: World): void {
  world.trace.line("phase", "probe");
  const unwantedBefore = countUnwanted(world);
  for (const client of world.clients) {
    for (const channel of world.options.channels) client.publish(channel, 1);
    client.publish(BROADCAST_CHANNEL, 0);
  }
  run(world, PROBE_MS);
  const unwanted = countUnwanted(world) - unwantedBefore;
  // A pub/sub server sends a channel to whoever listens to it, for as long as it does.
  if (unwanted > 0 && world.options.backplanes === "mesh") {
    world.history.faults.push(`${unwanted} messages went to nodes without a subscriber`);
  }
  // An acknowledgement that is lost on the way is lost: the publisher is told, and may try again.
  if (!losesDatagrams(world) && isAmple(world)) requireAnswers(world);
  judge(world);
}

function isAmple({ options }: World): boolean {
  return options.log.logMessagesMax === AMPLE_LOG.logMessagesMax;
}

function losesDatagrams({ options }: World): boolean {
  return options.backplanes === "broker" && options.broker.lossChance > 0;
}

function requireAnswers({ history, schedule }: World): void {
  for (const { index, node, qos, answeredAt, sentAt } of history.publications) {
    if (sentAt < schedule.now - PROBE_MS || qos === 0 || answeredAt !== undefined) continue;
    history.faults.push(`#${index} at ${node} was never acknowledged, though all is calm`);
  }
}

function countUnwanted(world: World): number {
  let count = 0;
  for (const { cluster } of world.openProcesses()) count += cluster.stats.messagesUnwanted;
  return count;
}

function judge(world: World): void {
  const { history, schedule, options } = world;
  const endedAt = schedule.now;
  const settleMs = losesDatagrams(world) ? SETTLE_MS : 0;
  history.faults.push(...checkDelivery(history, {
    isAmple: isAmple(world),
    // What an ample log loses has died with its node, all at once.
    repeatableMax: isAmple(world) ? 0 : options.log.logMessagesMax,
    settleMs,
    endedAt,
  }));
  const addressOf = (node: NodeId): string => world.addressOf(node);
  history.faults.push(...checkPresence(history, {
    settleMs: SETTLE_MS,
    graceMs: options.graceMs,
    isLossy: losesDatagrams(world),
    // Where a link is reset under what a node said last, the broker's goodbye is left alone.
    keepsOrder: options.backplanes === "mesh",
    dials: options.backplanes === "mesh",
    addressOf,
  }));
  history.faults.push(...checkMembership(history, {
    nodeTimeoutMs: options.cluster.nodeTimeoutMs,
    dials: options.backplanes === "mesh",
    isLossy: losesDatagrams(world),
    losesGoodbyes: options.backplanes !== "mesh" && options.broker.lossChance > 0,
    endedAt,
    addressOf,
  }));
}

// One after the other, so that each goodbye is heard by those who are still there.
function stop(world: World): void {
  world.trace.line("phase", "stop");
  for (const machine of world.machines) {
    machine.process?.stop();
    machine.process = undefined;
    world.schedule.runUntil(world.schedule.now + STEP_MS);
  }
  for (const client of world.clients) client.stop();
  world.schedule.runUntil(world.schedule.now + STOP_MS);
}

function run(world: World, durationMs: Millis): void {
  const { schedule, history } = world;
  const end = schedule.now + durationMs;
  while (schedule.now < end) {
    schedule.runUntil(Math.min(end, schedule.now + STEP_MS));
    history.faults.push(...checkBounds(world));
  }
}
