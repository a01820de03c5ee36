/** What the registry floor shows. */

export { BlobStore, type BlobStoreDeps, type BlobStoreOptions, type StoreUsage, type WriteOptions } from './blob-store.ts';
export { BlobWriter, type FileIdentity, type WrittenFile } from './blob-writer.ts';
export type { ByteSource } from './download.ts';
export { REGISTRY_ERRORS, RegistryError, type RegistryErrorCode } from './error.ts';
export { type GenericCheckerDeps, type GenericCheckerOptions, genericChecker } from './generic/checker.ts';
export { addArtifactClaim, fileEntryOf, GENERIC_MEDIA_TYPE } from './generic/claim.ts';
export { formatPurl } from './generic/coordinates.ts';
export { type GenericRoutesDeps, type GenericRoutesOptions, genericRoutes } from './generic/routes.ts';
export { StagedVersions, type StagedVersionsDeps } from './generic/staged-versions.ts';
export { MAX_TARGET_LENGTH, type ParsedTarget, parseTarget, type Target } from './http-names.ts';
export { tokenCheck } from './http-upload.ts';
export { identityOf, Library, type LibraryDeps, type LibraryOptions } from './library.ts';
export {
  BLOCK_BYTES,
  blockCount,
  isRun,
  MAX_RUN_BLOCKS,
  MAX_RUN_BYTES,
  PieceHasher,
  piecesRootOf,
  proveRun,
  type Run,
  runBlocks,
  runCount,
  runRange,
  treeDepth,
  verifyRun,
} from './pieces.ts';
export type {
  Clock,
  FileHandle,
  FileStat,
  FileSystem,
  Logger,
  PeerFault,
  PeerJudge,
  PeerRequests,
  ProviderDirectory,
  RequestOptions,
  Timer,
  Timers,
} from './ports.ts';
export { Staging, type StagingDeps, type StagingOptions } from './staging.ts';
export { type FetchRequest, fetchFile, type TransferDeps, type TransferOptions } from './transfer.ts';
export { type TransferKind, transferProtocol } from './transfer-messages.ts';
export { serveTransfers, type TransferServerDeps, type TransferServerOptions } from './transfer-server.ts';
export type { CheckVerdict, ClaimChecker, Ledger, LedgerEntry, Publishing, PublishResult } from './types.ts';
export type { ProvenRun, VerifiedReader } from './verified-reader.ts';
