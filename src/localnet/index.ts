/** What the end-to-end tests and the benchmark take of the localnet. */

export { createLocalnet, Localnet, type LocalnetNode, type LocalnetOptions, runCli } from './localnet.ts';
export { CAIRN, nodeEnvironment } from './node-process.ts';
export { busyPorts } from './ports.ts';
