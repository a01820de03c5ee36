/**
 * The admission policy: which rule speaks for a package, and whether an artifact is what that rule prescribes. Follows docs/SPEC.md §3.4.
 * The first rule that matches decides; none matching denies. Says nothing about minimum age or an admin's mark, which only an authority's
 * own check can know.
 */

import { checkNamespace, checkRegistry, coordinatesKey, type PackageName } from './coordinates.ts';
import { compareBytes, sameBytes } from './digest.ts';
import type { AddArtifact, Claim, Coordinates, EcosystemName, Parameters, PolicyRule } from './structures.ts';

/** Why policy refuses a claim. `detail` is one sentence for people. */
export interface PolicyRefusal {
  readonly code: 'policyDenied' | 'policySource' | 'policyVerification' | 'policyFileCount' | 'policyFileSize';
  readonly detail: string;
}

/** The first rule that matches the package, or null: denied. */
export function ruleFor(policy: readonly PolicyRule[], name: PackageName | Coordinates): PolicyRule | null {
  return policy.find((rule) => matches(rule, name)) ?? null;
}

/** Null when policy allows the claim, as far as the chain can tell; only AddArtifact and SetName are policy's business. */
export function checkAgainstPolicy(parameters: Parameters, claim: Claim): PolicyRefusal | null {
  if (claim.kind === 'AddArtifact') return checkArtifact(parameters.policy, claim);
  if (claim.kind !== 'SetName' || ruleFor(parameters.policy, claim.target) !== null) return null;
  return denied(claim.target);
}

/** Null when the rules are well-formed and each can speak, else why not. */
export function checkPolicy(policy: readonly PolicyRule[]): string | null {
  const seen = new Set<string>();
  for (const [index, rule] of policy.entries()) {
    const refusal = checkRule(rule);
    if (refusal !== null) return `policy[${index}]: ${refusal}`;
    const key = `${rule.ecosystem}|${rule.registry}|${rule.namespace}`;
    if (seen.has(key)) return `policy[${index}]: an earlier rule has the same registry and namespace`;
    seen.add(key);
  }
  return null;
}

/** True for an upstream id: lower-case letters, digits and `-`, at most 64. */
export function isUpstreamId(id: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,63}$/.test(id);
}

function checkArtifact(policy: readonly PolicyRule[], claim: AddArtifact): PolicyRefusal | null {
  const rule = ruleFor(policy, claim.coordinates);
  if (rule === null) return denied(claim.coordinates);
  if (!sourceFits(rule, claim.source)) {
    return { code: 'policySource', detail: `the policy does not grant ${coordinatesKey(claim.coordinates)} to that source` };
  }
  if (claim.verification !== rule.verification) {
    return { code: 'policyVerification', detail: `the policy prescribes ${rule.verification}, the claim says ${claim.verification}` };
  }
  if (claim.files.length > rule.maxFiles) {
    return { code: 'policyFileCount', detail: `the policy allows ${rule.maxFiles} files, the claim has ${claim.files.length}` };
  }
  const large = claim.files.find((file) => file.sizeBytes > rule.maxFileBytes);
  return large === undefined
    ? null
    : { code: 'policyFileSize', detail: `the policy allows ${rule.maxFileBytes} bytes a file, ${large.name} has ${large.sizeBytes}` };
}

function denied(name: PackageName): PolicyRefusal {
  return { code: 'policyDenied', detail: `no rule of the policy names ${name.ecosystem} ${name.namespace}` };
}

function sourceFits(rule: PolicyRule, source: AddArtifact['source']): boolean {
  return source.kind === 'upstream'
    ? rule.upstream === source.id
    : rule.publishers.some((publisher) => sameBytes(publisher, source.nodeId));
}

function matches(rule: PolicyRule, name: PackageName): boolean {
  return (
    rule.ecosystem === name.ecosystem && rule.registry === name.registry && matchesNamespace(name.ecosystem, rule.namespace, name.namespace)
  );
}

/** `*` matches any namespace, the empty one too; `demo/*` matches `demo` and whatever lies below it; all else only itself. */
function matchesNamespace(ecosystem: EcosystemName, pattern: string, namespace: string): boolean {
  if (pattern === '*') return true;
  const prefix = prefixOf(ecosystem, pattern);
  if (prefix === null) return pattern === namespace;
  return namespace === prefix || namespace.startsWith(prefix + separatorOf(ecosystem));
}

function prefixOf(ecosystem: EcosystemName, pattern: string): string | null {
  const ending = `${separatorOf(ecosystem)}*`;
  return pattern.endsWith(ending) ? pattern.slice(0, -ending.length) : null;
}

/** What separates the levels of a namespace: a dot in Maven's group ids, a slash elsewhere. */
function separatorOf(ecosystem: EcosystemName): string {
  return ecosystem === 'maven' ? '.' : '/';
}

function checkRule(rule: PolicyRule): string | null {
  const prefix = prefixOf(rule.ecosystem, rule.namespace);
  if (prefix === '') return 'namespace: expected something before the asterisk';
  if (rule.maxFileBytes < 1 || rule.maxFiles < 1) return 'expected maxFileBytes and maxFiles of at least 1';
  if (rule.upstream !== null && !isUpstreamId(rule.upstream)) return `upstream: ${JSON.stringify(rule.upstream)} is no upstream id`;
  for (let index = 1; index < rule.publishers.length; index += 1) {
    const [previous, publisher] = rule.publishers.slice(index - 1, index + 1);
    if (previous === undefined || publisher === undefined || compareBytes(previous, publisher) >= 0) {
      return 'publishers: expected node ids in ascending order, none twice';
    }
  }
  return (
    checkPlatforms(rule) ??
    checkRegistry(rule.ecosystem, rule.registry) ??
    (rule.namespace === '*' ? null : checkNamespace(rule.ecosystem, prefix ?? rule.namespace)) ??
    checkRuleSource(rule)
  );
}

/** Only images have platforms. */
function checkPlatforms({ ecosystem, platforms }: PolicyRule): string | null {
  if (platforms.length > 0 && ecosystem !== 'docker') return 'platforms: only docker has them';
  for (const [index, platform] of platforms.entries()) {
    if (!/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(platform))
      return `platforms: ${JSON.stringify(platform)} is no os/architecture[/variant]`;
    const previous = platforms[index - 1];
    if (previous !== undefined && previous >= platform) return 'platforms: expected in ascending order, none twice';
  }
  return null;
}

/** A rule has the source that its verification class needs, and no other. */
function checkRuleSource({ verification, upstream, publishers, requests }: PolicyRule): string | null {
  if (upstream === null && publishers.length === 0) return 'expected an upstream or publishers';
  if (upstream === null && requests !== 'none') return 'requests need an upstream';
  if (verification === 'published') {
    return upstream === null ? null : 'what is published has publishers and no upstream';
  }
  if (verification === 'manual') return null;
  return publishers.length === 0 ? null : `what is ${verification} has an upstream and no publishers`;
}
