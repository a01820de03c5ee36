/** The end of a simulated life: all faults are over, and what must come about now is asked for and waited for. */

import type { MachineState } from '../../consensus/index.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Admins } from './admins.ts';
import type { Fact } from './facts.ts';
import type { Load } from './load.ts';
import type { Plan } from './plan.ts';

/** Within this time after the last fault everybody must have caught up, and within another everything submitted be committed. */
const HEAL_MS = 300_000;

export interface Patient {
  readonly plan: Plan;
  readonly world: VirtualWorld;
  readonly honest: readonly Inhabitant[];
  /** Ends all faults. */
  readonly heal: () => void;
  readonly load: Load;
  readonly admins: Admins;
  /** Height that anybody has committed. */
  readonly highest: () => number;
  readonly isCommitted: (id: string) => boolean;
  readonly isBroken: () => boolean;
  readonly see: (fact: Fact) => void;
}

/** Tells what came about as a fact; resolves with the rounds that the first decision took beyond the one in work. */
export async function healed(patient: Patient): Promise<number> {
  const { plan, world, honest, isBroken, see } = patient;
  const { time } = world;
  const startMs = time.nowMs;
  const rounds = await firstDecision(patient);
  await time.until(() => isBroken() || heightsOf(honest).every((one) => one >= plan.heights), HEAL_MS);
  const open = await everythingAsked(patient);
  if (!isBroken()) {
    const heights = Object.fromEntries(honest.map((one) => [one.name, one.node?.head.height ?? -1]));
    see({ kind: 'healed', afterMs: time.nowMs - startMs, rounds, heights, open, wanted: plan.heights });
  }
  return rounds;
}

async function firstDecision({ world, honest, heal, highest, isBroken }: Patient): Promise<number> {
  const height = highest();
  // Whoever lags goes through the rounds of heights that others have decided.
  const round = (): number => Math.max(0, ...machinesOf(honest).map((machine) => (machine.height > height ? machine.consensus.round : 0)));
  const first = round();
  let last = first;
  heal();
  await world.time.until(() => {
    if (highest() === height) last = Math.max(last, round());
    return isBroken() || highest() > height;
  }, HEAL_MS);
  return last - first;
}

/** Each honest node is given one more version, and the admins are given one to remove; what has not come about in the end. */
async function everythingAsked({ world, honest, load, admins, isCommitted, isBroken }: Patient): Promise<readonly string[]> {
  load.stop();
  admins.stop();
  const last = honest.flatMap((one) => load.insist(one) ?? []);
  const open = (): readonly string[] => [...last.filter((id) => !isCommitted(id)), ...load.unanswered];
  const isSettled = (): boolean => open().length === 0 && new Set(heightsOf(honest)).size === 1;
  await world.time.until(() => isBroken() || isSettled(), HEAL_MS);
  const target = isSettled() ? admins.agree() : null;
  const isStanding = (): boolean => target !== null && !admins.isRemoved(target);
  await world.time.until(() => isBroken() || (!isStanding() && isSettled()), HEAL_MS);
  return isStanding() ? [...open(), `the removal of ${target}`] : open();
}

function heightsOf(honest: readonly Inhabitant[]): readonly number[] {
  return honest.map((one) => one.node?.head.height ?? -1);
}

function machinesOf(honest: readonly Inhabitant[]): readonly MachineState[] {
  return honest.flatMap((one) => one.node?.engine?.machine ?? []);
}
