import { latestOf } from "../../src/channel/presence_entry.ts";
import { itemsOf } from "../../src/core/few.ts";
import type { Attendance } from "./history.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** Adds to the history where the rosters are not the union of all connections, though all is calm. */
export function checkRosters(world: World): void {
  const { history, options } = world;
  const present = history.attendances.filter(({ endedAt }) => endedAt === Infinity);
  const processes = world.openProcesses();
  for (const channel of options.channels) {
    const expected = describe(present.filter((attendance) => attendance.channel === channel));
    const shown = new Set<string>();
    for (const process of processes) {
      const { id } = process;
      const roster = rosterOf(process, channel);
      shown.add(JSON.stringify([...shownBy(process, channel)].sort()));
      if (roster === expected) continue;
      history.faults.push(`${id} has [${roster}] in ${channel}, where there are [${expected}]`);
    }
    if (shown.size > 1) {
      history.faults.push(`nodes show different metadata in ${channel}: ${[...shown].join(" ")}`);
    }
  }
  checkViews(world);
}

/** Adds to the history where what shows of a member is not the latest that one of its clients said. */
export function checkLatest(world: World): void {
  const { history, options } = world;
  for (const channel of options.channels) {
    const latest = new Map<string, Attendance>();
    for (const attendance of history.attendances) {
      const { member, changedAt, endedAt } = attendance;
      if (attendance.channel !== channel || endedAt < Infinity) continue;
      if (changedAt > (latest.get(member)?.changedAt ?? -1)) latest.set(member, attendance);
    }
    for (const process of world.openProcesses()) {
      const shown = shownBy(process, channel);
      for (const [member, { meta, client }] of latest) {
        if (shown.get(member) === meta) continue;
        history.faults.push(
          `${process.id} shows ${
            shown.get(member)
          } of ${member} in ${channel}, not ${meta} of ${client}`,
        );
      }
    }
  }
}

/** What clients were told is what their nodes know. */
function checkViews(world: World): void {
  for (const client of world.clients) {
    const process = client.node === undefined ? undefined : world.find(client.node);
    if (process === undefined) continue;
    for (const [channel, count] of client.attendee.counts) {
      const known = process.presence.roster.count(channel);
      if (count === known) continue;
      world.history.faults.push(`${client.name} was told of ${count} in ${channel}, not ${known}`);
    }
    for (const [channel, view] of client.attendee.views) {
      const told = JSON.stringify([...view].sort());
      const known = JSON.stringify([...shownBy(process, channel)].sort());
      if (told === known) continue;
      world.history.faults.push(`${client.name} was told ${told} in ${channel}, not ${known}`);
    }
  }
}

// Each connection with its metadata, by member and node.
function describe(attendances: readonly Attendance[]): string {
  return attendances.map(({ member, node, meta }) => `${member} ${node} ${meta}`).sort().join(", ");
}

function rosterOf({ presence }: Process, channel: string): string {
  const entries: string[] = [];
  for (const [member, list] of presence.roster.members(channel)) {
    for (const { owner, meta } of itemsOf(list)) entries.push(`${member} ${owner.node} ${meta}`);
  }
  return entries.sort().join(", ");
}

function shownBy({ presence }: Process, channel: string): Map<string, number> {
  const shown = new Map<string, number>();
  for (const [member, entries] of presence.roster.members(channel)) {
    shown.set(member, Number(latestOf(entries).meta));
  }
  return shown;
}
