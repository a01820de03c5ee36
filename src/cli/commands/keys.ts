/** `cairn keys`: makes a node's keys, consents with them, makes new ones for them; shows public halves. Never prints a private key. */

import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { checkNodeRecord, digestFromHex, digestToHex } from '../../../chain/index.ts';
import {
  chainIdOf,
  generateNodeKeys,
  KEY_USES,
  KEYS_FOLDER,
  type KeyFileUse,
  loadGenesis,
  loadNodeKeys,
  makeNextKey,
  type NodeKeys,
  nodeIdOfKey,
  nodeRecordOf,
  peerIdOfKey,
  publicKeyOf,
  publicKeysOf,
  saveFreshKeys,
} from '../../../genesis/index.ts';
import { sha256 } from '../../crypto/sha256.ts';
import { seedSigner } from '../../crypto/signer.ts';
import type { MarkResult, MemberStatus, MembershipStatus } from '../../operations.ts';
import { consentToJoin, consentToRotate, formatConsentNote } from '../../orders/consent-note.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { configOf, connect, dataDirOf, type GlobalOptions } from '../context.ts';
import { note, print, printJson } from '../output.ts';
import { integer } from './options.ts';

interface ConsentOptions extends GlobalOptions {
  readonly name?: string;
  readonly replaces?: number;
}

interface RotateOptions extends GlobalOptions {
  readonly use: KeyFileUse;
}

export function addKeys(program: Command): void {
  const keys = program.command('keys').description("make a node's three keys, or show their public halves");
  keys
    .command('show')
    .description('node id, peer id and public keys of the data folder')
    .addHelpText('after', '\nExamples:\n  cairn keys show --data localnet/node1\n  cairn keys show --json')
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      show(await loadNodeKeys(join(dataDirOf(options), KEYS_FOLDER)), options);
    });
  keys
    .command('new')
    .description(
      'make three fresh keys in the data folder (0600), and their empty sign-state; refuses where there are keys or a node has run',
    )
    .addHelpText('after', '\nExample:\n  cairn keys new --data /var/lib/cairn')
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const dataDir = dataDirOf(options);
      const fresh = generateNodeKeys();
      await saveFreshKeys(dataDir, fresh);
      note(`keys are in ${join(dataDir, KEYS_FOLDER)}: keep a copy in a safe place, nobody can make them again`);
      show(fresh, options);
    });
  addConsent(keys);
  addRotate(keys);
}

function addConsent(keys: Command): void {
  keys
    .command('consent')
    .description("print this node's consent to be an authority, one line for the admins of the authorities (cairn authorize add)")
    .option('--name <name>', 'what the chain is to call it; without it the name in its configuration')
    .option('--replaces <height>', 'of one that was removed before: the height at which', integer(0, Number.MAX_SAFE_INTEGER))
    .addHelpText(
      'after',
      `
Examples:
  cairn keys consent --name node5 --data /var/lib/cairn > consent.txt
  cairn keys consent --replaces 1234

The node need not run. Where it does, it knows by itself whether the chain has a record of it.`,
    )
    .action(async (_options: unknown, self: Command) => consent(self.optsWithGlobals<ConsentOptions>()));
}

function addRotate(keys: Command): void {
  keys
    .command('rotate')
    .description(
      'make a new key beside the one in use, mark it at this node, and print its consent for the other admins (cairn authorize rotate)',
    )
    .addOption(new Option('--use <use>', 'which of the three').choices(KEY_USES).makeOptionMandatory())
    .addHelpText(
      'after',
      `
Example:
  cairn keys rotate --use consensus --data localnet/node1

The node must run. It signs with the new key from the height on that the chain says; the old one stays in keys/ until the next start after that,
and in keys/retired from then on. A new network key is taken at the next start.`,
    )
    .action(async (_options: unknown, self: Command) => rotate(self.optsWithGlobals<RotateOptions>()));
}

/** On standard output the consent alone, so that it can be piped into a file. */
async function consent(options: ConsentOptions): Promise<void> {
  const dataDir = dataDirOf(options);
  const { config } = await configOf(options);
  const keys = await loadNodeKeys(join(dataDir, KEYS_FOLDER));
  const chainId = chainIdOf(await loadGenesis(resolve(dataDir, config.genesis)));
  const own = await ownRecord(options);
  if (own?.active === true) throw new CliError(EXIT.refused, `this node is an authority already, since height ${own.recordHeight}`);
  const replaces = options.replaces ?? own?.recordHeight ?? null;
  const fresh = nodeRecordOf(keys, options.name ?? config.name);
  const node = own === null ? fresh : { ...fresh, nodeId: digestFromHex(own.nodeId) };
  const refusal = checkNodeRecord(node);
  if (refusal !== null) throw new CliError(EXIT.usage, refusal);
  const text = formatConsentNote(consentToJoin({ chainId, node, replaces }, seedSigner(keys).sign, sha256));
  if (options.json === true) printJson({ consent: text, name: node.name, nodeId: digestToHex(node.nodeId), replaces });
  else print(text);
  if (own === null && options.replaces === undefined)
    note(`consents as a newcomer called ${node.name}; one that was an authority before names the height of its removal (--replaces)`);
}

/** The running node's own record; null where none runs or the chain has none. */
async function ownRecord(options: GlobalOptions): Promise<MemberStatus | null> {
  try {
    const client = await connect(options);
    return ((await client.get('/members')) as MembershipStatus).own;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.unreachable) return null;
    throw error;
  }
}

async function rotate(options: RotateOptions): Promise<void> {
  const { use } = options;
  const client = await connect(options);
  const dataDir = dataDirOf(options);
  const { config } = await configOf(options);
  const { own } = (await client.get('/members')) as MembershipStatus;
  if (own?.active !== true) throw new CliError(EXIT.refused, 'this node is a mirror: its keys stand nowhere on the chain');
  const folder = join(dataDir, KEYS_FOLDER);
  const current = await loadNodeKeys(folder);
  if (own.keys[use] !== hexOf(publicKeyOf(current[use])))
    throw new CliError(
      EXIT.refused,
      `the ${use} key was rotated already, at height ${own.recordHeight}: restart the node before the next rotation`,
    );
  const seed = await makeNextKey(folder, use);
  const chainId = chainIdOf(await loadGenesis(resolve(dataDir, config.genesis)));
  const about = { chainId, nodeId: digestFromHex(own.nodeId), use, publicKey: publicKeyOf(seed), replaces: own.recordHeight };
  const text = formatConsentNote(consentToRotate(about, seedSigner({ ...current, [use]: seed }).sign, sha256));
  const result = (await client.post('/authorize', { order: 'rotate', target: text, reason: null })) as MarkResult;
  if (options.json === true) return printJson({ consent: text, publicKey: hexOf(about.publicKey), result });
  print(text);
  note(
    result.kind === 'committed' ? `the new ${use} key was decided at height ${result.height}` : `the new ${use} key is marked on this node`,
  );
  if (result.kind === 'marked')
    note(`${result.waitingFor}: give the line to the other admins (cairn authorize rotate), or this node's name`);
}

function hexOf(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}

function show(keys: NodeKeys, options: GlobalOptions): void {
  const { network, consensus, checkpoint } = publicKeysOf(keys);
  const shown = {
    nodeId: digestToHex(nodeIdOfKey(network)),
    peerId: peerIdOfKey(network),
    network: hexOf(network),
    consensus: hexOf(consensus),
    checkpoint: hexOf(checkpoint),
  };
  if (options.json === true) printJson(shown);
  else for (const [name, value] of Object.entries(shown)) print(`${name.padEnd(11)}${value}`);
}
