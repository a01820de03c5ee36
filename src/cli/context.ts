/** What every command needs: the data folder, the configuration found there, and the node's admin API. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type LoadedConfig, loadConfig } from '../config/index.ts';
import { findAdminToken } from '../http/tokens.ts';
import { AdminClient } from './admin-client.ts';
import { CliError, EXIT } from './cli-error.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly data?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** `--data`, else CAIRN_DATA, else `.cairn` in the home folder. */
export function dataDirOf(options: GlobalOptions): string {
  const fromEnvironment = process.env.CAIRN_DATA;
  return resolve(options.data ?? (fromEnvironment === undefined || fromEnvironment === '' ? join(homedir(), '.cairn') : fromEnvironment));
}

export async function configOf(options: GlobalOptions): Promise<LoadedConfig> {
  return loadConfig({ dataDir: dataDirOf(options), environment: process.env, flags: {} });
}

/** The node that belongs to the data folder. */
export async function connect(options: GlobalOptions): Promise<AdminClient> {
  const dataDir = dataDirOf(options);
  const { config } = await configOf(options);
  const token = await findAdminToken(config, dataDir);
  if (token === null) {
    throw new CliError(
      EXIT.unreachable,
      `no node has been started in ${dataDir}: name its data folder with --data, or start it with 'cairn start'`,
    );
  }
  return new AdminClient({ port: config['admin.port'], token, dataDir });
}
