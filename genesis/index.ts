/** What the genesis floor shows. */

export { DEFAULT_PARAMETERS, LOCALNET_UPSTREAM, localnetPolicy } from './default-parameters.ts';
export {
  chainIdOf,
  checkGenesis,
  describeGenesis,
  GENESIS_FILE_NAME,
  type GenesisDocument,
  genesisDocument,
  loadGenesis,
  parseGenesis,
  saveGenesis,
} from './document.ts';
export { GenesisError } from './genesis-error.ts';
export {
  generateNodeKeys,
  KEY_USES,
  KEYS_FOLDER,
  type KeyFileUse,
  loadNodeKeys,
  type NodeKeys,
  nodeIdOfKey,
  nodeRecordOf,
  publicKeyOf,
  publicKeysOf,
  readSecret,
  SIGN_STATE_FILE,
  saveFreshKeys,
  saveNodeKeys,
  writeSecret,
} from './key-files.ts';
export { loadNextKeys, makeNextKey, takeNextKey } from './key-rotation.ts';
export {
  ADMIN_TOKEN_FILE,
  type Localnet,
  PUBLISH_TOKEN_FILE,
  packedPorts,
  standardPorts,
  writeLocalnet,
} from './localnet.ts';
export { peerIdOfKey } from './peer-id.ts';
