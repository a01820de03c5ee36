/**
 * The network's parameters as JSON for people and back: digests as 64 hex digits, all else as it is. Strict: nothing is filled in. What
 * the values may be is the chain's to say.
 */

import { digestFromHex, encode, type Parameters, parameters as parametersSchema, refusalOf } from '../../chain/index.ts';

/** As plain JSON. */
export function parametersToJson(parameters: Parameters): unknown {
  return plain(parameters);
}

/** The parameters, or in one line what is wrong with the JSON. */
export function parametersFromJson(json: unknown): Parameters | string {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'expected an object of parameters';
  const { policy } = json as { readonly policy?: unknown };
  const value = { ...json, policy: Array.isArray(policy) ? policy.map(ruleFromJson) : policy };
  const refusal = refusalOf(parametersSchema, value);
  return refusal ?? (value as unknown as Parameters);
}

/** What differs, one `name: old → new` each; of the policy only that it does. */
export function changesOf(from: Parameters, to: Parameters): readonly string[] {
  const [before, after] = [flat(plain(from), ''), flat(plain(to), '')];
  const names = [...after].filter(([name, value]) => before.get(name) !== value).map(([name]) => name);
  return names.map((name) => (name === 'policy' ? 'policy' : `${name}: ${before.get(name) ?? 'none'} → ${after.get(name) ?? 'none'}`));
}

/** Whether two are the same to the letter. */
export function isSameParameters(left: Parameters, right: Parameters): boolean {
  return Buffer.compare(encode(parametersSchema, left), encode(parametersSchema, right)) === 0;
}

function ruleFromJson(rule: unknown): unknown {
  if (typeof rule !== 'object' || rule === null || !('publishers' in rule) || !Array.isArray(rule.publishers)) return rule;
  const publishers = rule.publishers.map((hex: unknown) =>
    typeof hex === 'string' && /^[0-9a-f]{64}$/.test(hex) ? digestFromHex(hex) : hex,
  );
  return { ...rule, publishers };
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
  return value;
}

/** Each value by its path; a list as one text. */
function flat(value: unknown, path: string): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map([[path, JSON.stringify(value)]]);
  return new Map(Object.entries(value).flatMap(([key, one]) => [...flat(one, path === '' ? key : `${path}.${key}`)]));
}
