/** What the genesis floor shows. */

export { DEFAULT_PARAMETERS, localnetPolicy } from './default-parameters.ts';
export {
  chainIdOf,
  checkGenesis,
  describeGenesis,
  GENESIS_FILE_NAME,
  GENESIS_VERSION,
  type GenesisDocument,
  genesisDocument,
  loadGenesis,
  parseGenesis,
  saveGenesis,
} from './document.ts';
export { GenesisError, type GenesisErrorCode } from './genesis-error.ts';
export {
  generateNodeKeys,
  KEY_USES,
  KEYS_FOLDER,
  type KeyFileUse,
  loadNodeKeys,
  type NodeKeys,
  type NodePublicKeys,
  nodeIdOfKey,
  nodeRecordOf,
  publicKeysOf,
  readSecret,
  saveNodeKeys,
  writeSecret,
} from './key-files.ts';
export {
  ADMIN_TOKEN_FILE,
  type Localnet,
  type LocalnetNode,
  type LocalnetOptions,
  type LocalnetPorts,
  PUBLISH_TOKEN_FILE,
  packedPorts,
  standardPorts,
  writeLocalnet,
} from './localnet.ts';
export { peerIdOfKey } from './peer-id.ts';
