import type { Millis } from "../../src/core/machine.ts";
import type { Chance } from "./chance.ts";
import type { Disturbance } from "./history.ts";
import type { Machine } from "./machine.ts";
import type { FaultKind } from "./options.ts";
import type { World } from "./world.ts";

const FROZEN_MAX_MS = 10_000;
const JUMP_MAX_MS = 30_000;
const RESTART_MAX_MS = 4_000;

/** Breaks things, one after the other and some at once, and mends what does not mend itself. */
export class Faults {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #open = new Set<() => void>();
  #count = 0;
  #isOver = false;

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
  }

  /** Faults so far. */
  get count(): number {
    return this.#count;
  }

  /** Begins to break things. */
  start(): void {
    if (this.#world.options.faults.length > 0) this.#later();
  }

  /** Mends everything, and breaks nothing any more. */
  stop(): void {
    this.#isOver = true;
    for (const mend of [...this.#open]) mend();
  }

  /** Breaks one thing, or nothing if there is nothing to break. */
  inject(kind: FaultKind): void {
    this.#count++;
    switch (kind) {
      case "crash":
      case "power":
        return this.#crash(kind === "power");
      case "leave":
        return this.#leave();
      case "freeze":
        return this.#freeze();
      case "jump":
        return this.#jump();
      case "cut":
        return this.#cut();
      case "split":
        return this.#split();
      case "isolate":
        return this.#isolate();
      case "one_way":
      case "pair":
        return this.#pair(kind === "one_way");
      default:
        return this.#breakBroker(kind);
    }
  }

  #later(): void {
    const pauseMs = this.#chance.between(0, 2 * this.#world.options.faultPauseMs);
    this.#world.schedule.in(pauseMs, () => {
      if (this.#isOver) return;
      this.inject(this.#chance.pick(this.#world.options.faults));
      this.#later();
    });
  }

  #crash(isDark: boolean): void {
    const machine = this.#pickRunning();
    if (machine === undefined) return;
    const disturbance = this.#note(isDark ? "power" : "crash", [machine]);
    machine.process!.crash(isDark);
    machine.process = undefined;
    this.#restartLater(machine, () => {
      this.#world.network.lighten(machine.address);
      disturbance.endedAt = this.#world.schedule.now;
    });
  }

  #leave(): void {
    const machine = this.#pickRunning();
    if (machine === undefined || machine.process!.host.isFrozen) return;
    machine.process!.stop();
    machine.process = undefined;
    this.#restartLater(machine, () => {});
  }

  #restartLater(machine: Machine, mend: () => void): void {
    if (!this.#world.options.restarts) return this.#until(Infinity, mend);
    machine.isBusy = true;
    this.#until(this.#chance.between(0, RESTART_MAX_MS), () => {
      mend();
      machine.isBusy = false;
      this.#world.startProcess(machine);
    });
  }

  #freeze(): void {
    const machine = this.#pickRunning();
    if (machine === undefined || machine.process!.host.isFrozen) return;
    const { host } = machine.process!;
    host.freeze();
    const disturbance = this.#note("freeze", [machine]);
    const longestMs = Math.min(FROZEN_MAX_MS, this.#world.options.faultMaxMs);
    this.#until(this.#chance.between(0, longestMs), () => {
      disturbance.endedAt = this.#world.schedule.now;
      this.#world.trace.line("fault", `thaw ${machine.name}`);
      host.thaw(this.#chance.happens(0.5));
    });
  }

  #jump(): void {
    const machine = this.#pickRunning();
    if (machine === undefined) return;
    const disturbance = this.#note("jump", [machine]);
    disturbance.endedAt = disturbance.startedAt;
    machine.process!.host.jump(this.#chance.between(0, JUMP_MAX_MS));
  }

  #cut(): void {
    const [left, right] = this.#pickPair();
    const halfOpen = this.#chance.happens(0.3);
    const disturbance = this.#note(halfOpen ? "half-open" : "cut", [left, right]);
    disturbance.endedAt = disturbance.startedAt;
    this.#world.network.cut(left.address, right.address, halfOpen);
  }

  #split(): void {
    const here = this.#world.machines.filter(() => this.#chance.happens(0.5));
    const there = this.#world.machines.filter((machine) => !here.includes(machine));
    this.#block("split", pairs(here, there), here);
  }

  #isolate(): void {
    const machine = this.#chance.pick(this.#world.machines);
    const others = this.#world.machines.filter((other) => other !== machine);
    this.#block("isolate", pairs([machine], others), [machine]);
  }

  #pair(isOneWay: boolean): void {
    const [left, right] = this.#pickPair();
    if (!isOneWay) return this.#block("pair", pairs([left], [right]), [left, right]);
    this.#block("one-way", [[left, right]], [left, right]);
  }

  #block(kind: string, ways: readonly (readonly [Machine, Machine])[], machines: Machine[]): void {
    const { network } = this.#world;
    for (const [from, to] of ways) network.block(from.address, to.address);
    const disturbance = this.#note(kind, machines);
    this.#until(this.#chance.between(0, this.#world.options.faultMaxMs), () => {
      disturbance.endedAt = this.#world.schedule.now;
      this.#world.trace.line("fault", `${kind} of ${names(machines)} mended`);
      for (const [from, to] of ways) network.unblock(from.address, to.address);
    });
  }

  #breakBroker(kind: "broker_down" | "broker_unreachable" | "broker_forgets"): void {
    const { broker } = this.#world;
    const machine = this.#chance.pick(this.#world.machines);
    if (kind === "broker_forgets") {
      broker.forget(machine.address);
      const disturbance = this.#note(kind, [machine]);
      disturbance.endedAt = disturbance.startedAt;
      return;
    }
    const isWhole = kind === "broker_down";
    if (isWhole) broker.fall();
    else broker.block(machine.address);
    const disturbance = this.#note(kind, isWhole ? [] : [machine]);
    this.#until(this.#chance.between(0, this.#world.options.faultMaxMs), () => {
      disturbance.endedAt = this.#world.schedule.now;
      this.#world.trace.line("fault", `${kind} mended`);
      if (isWhole) broker.rise();
      else broker.unblock(machine.address);
    });
  }

  // Mends after a while, or when all faults end.
  #until(durationMs: Millis, mend: () => void): void {
    const once = (): void => {
      if (this.#open.delete(once)) mend();
    };
    this.#open.add(once);
    if (durationMs !== Infinity) this.#world.schedule.in(durationMs, once);
  }

  #note(kind: string, machines: readonly Machine[]): Disturbance {
    const disturbance: Disturbance = {
      kind,
      addresses: machines.map(({ address }) => address),
      startedAt: this.#world.schedule.now,
      endedAt: Infinity,
    };
    this.#world.history.disturbances.push(disturbance);
    this.#world.trace.line("fault", `${kind} ${names(machines)}`);
    return disturbance;
  }

  // One node is always left to serve clients.
  #pickRunning(): Machine | undefined {
    const running = this.#world.machines.filter(({ process, isBusy }) =>
      process !== undefined && !isBusy
    );
    return running.length < 2 ? undefined : this.#chance.pick(running);
  }

  #pickPair(): [Machine, Machine] {
    const left = this.#chance.pick(this.#world.machines);
    const others = this.#world.machines.filter((machine) => machine !== left);
    return [left, this.#chance.pick(others)];
  }
}

function pairs(
  here: readonly Machine[],
  there: readonly Machine[],
): (readonly [Machine, Machine])[] {
  return here.flatMap((left) =>
    there.flatMap((right) => [[left, right] as const, [right, left] as const])
  );
}

function names(machines: readonly Machine[]): string {
  return machines.map(({ name }) => name).join(" ");
}
