/** What the configuration shows. */

export { ConfigError, nearestName } from './config-error.ts';
export { removeConfigText, saveConfigText, setConfigText } from './edit.ts';
export {
  CONFIG_FILE_NAME,
  checkAgainstNetwork,
  knownKey,
  type LoadedConfig,
  loadConfig,
  readConfigFile,
  resolveConfig,
} from './load.ts';
export {
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  environmentNameOf,
  flagNameOf,
  SETTINGS,
} from './settings.ts';
