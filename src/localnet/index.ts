/** What the end-to-end tests and the benchmark take of the localnet. */

export { AdminClient } from './admin-client.ts';
export { createLocalnet, Localnet, type LocalnetNode, type LocalnetOptions, runCli } from './localnet.ts';
export { LocalnetError } from './localnet-error.ts';
export { nodeEnvironment } from './node-process.ts';
export { busyPorts } from './ports.ts';
