/**
 * What follows for a request from what the authorities say of it. SPEC §3.7. Pure. One authority's word decides nothing: only what more than a
 * third of the power says can no longer become anything else.
 */

import { type BuildReport, type Digest, digestToHex, totalPower, type ValidatorSetRecord } from '../../chain/index.ts';
import type { RequestOutcome } from '../../registry/index.ts';
import { shortened } from '../shortened.ts';

/** What one authority said of a build, newest word. */
export interface HeardReport {
  readonly nodeId: Digest;
  readonly report: BuildReport;
}

/** Null while it may still come. */
export function outcomeOf(reports: readonly HeardReport[], set: ValidatorSetRecord): RequestOutcome | null {
  const saying = (...states: readonly BuildReport['state'][]): readonly HeardReport[] =>
    reports.filter(({ report }) => states.includes(report.state));
  const enough = (...states: readonly BuildReport['state'][]): boolean => isOverThird(set, saying(...states));
  if (enough('absent')) return { kind: 'absent', reason: reasonOf(saying('absent')) };
  if (enough('absent', 'refused')) return { kind: 'refused', reason: reasonOf(saying('refused')) };
  if (enough('absent', 'refused', 'failed')) return { kind: 'pending', reason: reasonOf(saying('failed', 'refused')) };
  return enough('busy') ? { kind: 'pending', reason: reasonOf(saying('busy')) } : null;
}

/** Why it takes so long, where an authority has said so. */
export function lastWord(reports: readonly HeardReport[]): string {
  const failed = reports.find(({ report }) => report.state === 'failed' && report.detail !== '');
  return failed === undefined ? '' : ` (${failed.report.detail})`;
}

function isOverThird(set: ValidatorSetRecord, reports: readonly HeardReport[]): boolean {
  const nodes = new Set(reports.map(({ nodeId }) => digestToHex(nodeId)));
  const power = set.filter(({ nodeId }) => nodes.has(digestToHex(nodeId))).reduce((sum, member) => sum + member.power, 0);
  return 3 * power > totalPower(set);
}

/** What they say, each thing once. */
function reasonOf(reports: readonly HeardReport[]): string {
  const said = [...new Set(reports.map(({ report }) => report.detail).filter((detail) => detail !== ''))].join('; ');
  return said === '' ? 'no reason was given' : shortened(said, 1024);
}
