/** Makes and unmakes the network of one chaos run: a folder with everybody's keys and configuration, and the ground between the nodes. */

import { createLocalnet, Localnet } from '../../src/localnet/index.ts';
import { hasNamespaces, openNamespaces } from './namespaces.ts';
import { openProxies } from './proxies.ts';
import type { Terrain } from './terrain.ts';

const STOP_MS = 10_000;

export interface ChaosNetworkOptions {
  readonly dir: string;
  readonly authorities: number;
  readonly mirrors: number;
  readonly basePort: number;
  /** Null: namespaces where the machine allows them. */
  readonly terrain: Terrain['kind'] | null;
}

export interface ChaosNetwork {
  readonly localnet: Localnet;
  readonly terrain: Terrain;
  /** Stops every process and takes the ground away; the folder stays. */
  readonly close: () => Promise<void>;
}

export async function openChaosNetwork(options: ChaosNetworkOptions): Promise<ChaosNetwork> {
  const { dir, authorities, mirrors, basePort } = options;
  await createLocalnet({ dir, authorities, mirrors, basePort });
  const localnet = await Localnet.open(dir);
  const kind = options.terrain ?? ((await hasNamespaces()) ? 'namespaces' : 'proxies');
  const terrain = kind === 'namespaces' ? await openNamespaces(localnet.nodes) : await openProxies(localnet.nodes);
  return {
    localnet,
    terrain,
    close: async () => {
      for (const { process: node } of localnet.nodes) if (node.pid !== null) process.kill(node.pid, 'SIGCONT');
      await localnet.stop(STOP_MS);
      await terrain.close();
    },
  };
}
