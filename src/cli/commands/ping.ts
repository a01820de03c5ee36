/** `cairn ping`: asks the node how long a peer takes to answer it. */

import type { Command } from 'commander';
import type { PeerStatus } from '../../operations.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatRoundTrip, print, printJson } from '../output.ts';
import { integer } from './options.ts';

interface PingOptions extends GlobalOptions {
  readonly count: number;
}

export function addPing(program: Command): void {
  program
    .command('ping')
    .description('measure the round trip from the node to a peer, by peer id or, for an authority, by name')
    .argument('<peer>', 'peer id or name, as cairn list shows them')
    .option('-c, --count <count>', 'how many times', integer(1, 100), 1)
    .addHelpText('after', '\nExamples:\n  cairn ping node2 --data localnet/node1\n  cairn ping 12D3KooW… --count 5 --json')
    .action(async (peer: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<PingOptions>();
      const client = await connect(options);
      const { peers } = (await client.get('/peers')) as { peers: readonly PeerStatus[] };
      const named = peers.find((one) => one.name === peer || one.peerId === peer);
      const peerId = named?.peerId ?? peer;
      if (!/^[1-9A-HJ-NP-Za-km-z]{32,128}$/.test(peerId))
        throw new CliError(EXIT.failed, `${peer} is neither a connected peer's name nor a peer id`);
      const answers: number[] = [];
      for (let count = 0; count < options.count; count += 1) {
        const { rttMs } = (await client.post('/ping', { peerId })) as { rttMs: number };
        answers.push(rttMs);
        if (options.json !== true) print(`${peer} answered in ${formatRoundTrip(rttMs)}`);
      }
      if (options.json === true) printJson({ peerId, rttMs: answers });
    });
}
