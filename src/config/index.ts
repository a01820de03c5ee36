/** What the configuration shows. */

export { ConfigError, type ConfigErrorCode, nearestName } from './config-error.ts';
export { removeConfigText, saveConfigText, setConfigText } from './edit.ts';
export {
  CONFIG_FILE_NAME,
  type ConfigOrigin,
  type ConfigSources,
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
  isConfigKey,
  LOG_FORMATS,
  LOG_LEVELS,
  type LogFormat,
  type LogLevel,
  SETTINGS,
  type Setting,
  type SettingType,
} from './settings.ts';
