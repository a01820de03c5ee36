/** A real node whose network goes on to rules that it does not know: it says so, stops before them with an exit code of its own, and stays stopped. */

import t from 'tap';
import { cairn } from '../cli/run-cairn.ts';
import { client } from '../clients.ts';
import { startNetwork } from './localnet-fixture.ts';

t.setTimeout(560_000);

t.test('protocol version 2 at height 3: the old software stops at 2, exit code 6, and again at every start', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, authorities: 1, mirrors: 0 });
  const [node] = fixture.authorities;
  if (node === undefined) throw new Error('one authority expected');
  const propose = (...args: readonly string[]): ReturnType<typeof cairn> =>
    cairn(['params', 'propose', '--set', 'protocolVersion=2', ...args, '--data', node.dataDir]);
  t.match(await propose(), { code: 4, stderr: /a new protocol version needs a height of at least 3/ });
  t.match(await propose('--at-height', '3'), {
    code: 0,
    stdout: /decided at height 1, in force from height 3 on/,
    stderr: /warning: this node knows protocol versions up to 1: it stops before height 3/,
  });
  await fixture.waitForHeight(node, 1);
  await fixture.publish(node, '/generic/demo/last/1.0.0/file.txt', Buffer.from('the last one by the old rules\n'));
  t.match(await node.process.exited, { code: 6 });
  t.match(node.process.logText(), /this software is too old for what the network has decided/);
  t.match(await cairn(['start', '--data', node.dataDir]), {
    code: 6,
    stderr: /cairn: from height 3 on the network obeys protocol version 2, and this software knows up to 1: install a newer one/,
  });
});
