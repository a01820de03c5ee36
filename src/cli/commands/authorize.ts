/** `cairn authorize`: who stands in the set of authorities, and this node's marks that one shall come, go or change a key. */

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { MarkResult, MembershipOrder, MembershipStatus, WaitingOrder } from '../../operations.ts';
import { isConsentNote } from '../../orders/consent-note.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatTable, note, print, printable, printJson } from '../output.ts';

interface OrderOptions extends GlobalOptions {
  readonly reason?: string;
  readonly undo?: boolean;
}

const PEER = 'name, node id or peer id';

export function addAuthorize(program: Command): void {
  const authorize = program
    .command('authorize')
    .description('who the authorities are; mark that one shall come, go or have a new key; a quorum of authorities has to mark it');
  authorize
    .command('list')
    .description('the sets of this height and the next two, nodes that were removed, and what waits for marks')
    .addHelpText('after', '\nExamples:\n  cairn authorize list --data localnet/node1\n  cairn authorize list --json')
    .action(async (_options: unknown, self: Command) => list(self.optsWithGlobals<GlobalOptions>()));
  orderCommand(authorize, {
    order: 'add',
    argument: '<peer>',
    about: `the line or file that 'cairn keys consent' made on its machine; or ${PEER} of one whose admission waits for marks`,
    description: 'mark that a node shall be an authority',
    example: 'cairn authorize add consent.txt --data localnet/node1',
  });
  orderCommand(authorize, {
    order: 'rotate',
    argument: '<peer>',
    about: `the line or file that 'cairn keys rotate' made on its machine; or ${PEER} of one whose new key waits for marks`,
    description: "mark that an authority's new key shall take the place of the old one",
    example: 'cairn authorize rotate node2 --data localnet/node1',
  });
  orderCommand(authorize, {
    order: 'remove',
    argument: '<peer>',
    about: PEER,
    description: 'mark that an authority shall be one no more',
    example: "cairn authorize remove node4 --reason 'moved away' --data localnet/node1",
  });
}

interface OrderCommand {
  readonly order: MembershipOrder['order'];
  readonly argument: string;
  readonly about: string;
  readonly description: string;
  readonly example: string;
}

function orderCommand(parent: Command, { order, argument, about, description, example }: OrderCommand): void {
  const command = parent.command(order).description(description).argument(argument, about);
  if (order === 'remove') command.option('--reason <text>', 'why, as it will stand on the chain');
  command
    .option('--undo', "take this node's mark back")
    .addHelpText(
      'after',
      `\nExample:\n  ${example}\n\nGive the same command on each authority: more than two thirds of the admins have to.`,
    )
    .action(async (target: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<OrderOptions>();
      return options.undo === true ? await undo(target, options) : await mark({ order, target, reason: options.reason ?? null }, options);
    });
}

async function mark(order: MembershipOrder, options: OrderOptions): Promise<void> {
  const target = order.order === 'remove' ? order.target : await consentOrName(order.target);
  const client = await connect(options);
  const result = (await client.post('/authorize', { ...order, target })) as MarkResult;
  printMark(result, { about: isConsentNote(target) ? 'it' : target, inForce: (height) => height + 2, json: options.json === true });
}

/** A file that holds a consent is read; anything else is a consent itself, or a name. */
async function consentOrName(target: string): Promise<string> {
  if (isConsentNote(target)) return target;
  const text = await readFile(target, 'utf8').catch(() => null);
  if (text === null) return target;
  const found = text
    .split('\n')
    .map((line) => line.trim())
    .find(isConsentNote);
  if (found === undefined) throw new CliError(EXIT.usage, `${target} holds no consent: expected the line that 'cairn keys consent' prints`);
  return found;
}

interface MarkWords {
  readonly about: string;
  /** From which height on it holds when the block of that height has decided it. */
  readonly inForce: (height: number) => number;
  readonly json: boolean;
}

/** What became of a mark; a refusal is exit code 4, a warning goes to standard error. */
export function printMark(result: MarkResult, options: MarkWords): void {
  if (result.kind === 'refused') throw new CliError(EXIT.refused, result.reason);
  if (result.warning !== undefined) note(`warning: ${printable(result.warning)}`);
  if (options.json) printJson(result);
  else if (result.kind === 'committed')
    print(`${options.about}: decided at height ${result.height}, in force from height ${options.inForce(result.height)} on`);
  else print(`${options.about} is marked on this node (${result.key}); ${result.waitingFor}`);
}

async function undo(target: string, options: OrderOptions): Promise<void> {
  const client = await connect(options);
  await client.post('/unmark', { target });
  if (options.json === true) return printJson({ target, unmarked: true });
  return print(`${target} is no longer marked on this node`);
}

async function list(options: GlobalOptions): Promise<void> {
  const client = await connect(options);
  const status = (await client.get('/members')) as MembershipStatus;
  if (options.json === true) return printJson(status);
  return print(formatMembers(status));
}

function formatMembers({ sets, nodes, waiting, own }: MembershipStatus): string {
  const inSet = (nodeId: string): readonly string[] => sets.map((set) => (set.nodeIds.includes(nodeId) ? 'yes' : '-'));
  const table = formatTable({
    head: ['name', ...sets.map(({ height }) => `height ${height}`), 'node id', 'peer id'],
    rows: nodes.map((node) => [
      node.nodeId === own?.nodeId ? `${node.name} (this)` : node.name,
      ...inSet(node.nodeId),
      node.nodeId,
      node.active ? node.peerId : `${node.peerId} (removed at height ${node.recordHeight})`,
    ]),
  });
  return `${table}\n\n${formatWaiting(waiting)}`;
}

/** What waits for marks, or that nothing does. */
export function formatWaiting(waiting: readonly WaitingOrder[]): string {
  if (waiting.length === 0) return 'nothing waits for marks';
  const rows = waiting.map(({ about, endorsers, marked }) => [about, endorsers.join(' ') || '-', marked ? 'yes' : 'no']);
  return formatTable({ head: ['waits for marks', 'marked by', 'here'], rows });
}
