/** What the registry floor shows. */

export { BlobStore } from './blob-store.ts';
export type { FileIdentity } from './blob-writer.ts';
export { BufferPool, pump } from './byte-pump.ts';
export { RegistryError } from './error.ts';
export { genericChecker } from './generic/checker.ts';
export { addArtifactClaim, fileEntryOf } from './generic/claim.ts';
export { formatPurl } from './generic/coordinates.ts';
export { genericRoutes } from './generic/routes.ts';
export { StagedVersions } from './generic/staged-versions.ts';
export { type AnswerFront, MAX_REPEATED_BYTES } from './http-front.ts';
export { parseTarget } from './http-names.ts';
export { tokenCheck } from './http-upload.ts';
export { Library, type LibraryOptions } from './library.ts';
export { ociChecker } from './oci/checker.ts';
export { sendOciRefusal } from './oci/errors.ts';
export { UpstreamImages } from './oci/images.ts';
export { formatImage, parseImageReference, subjectOf } from './oci/reference.ts';
export { ociResolver } from './oci/resolver.ts';
export { ociRoutes } from './oci/routes.ts';
export { type FetchedManifest, type OciUpstream, type OciUpstreamOptions, ociUpstream } from './oci/upstream.ts';
export type { UpstreamCredentials } from './oci/upstream-auth.ts';
export { pause } from './pause.ts';
export { BLOCK_BYTES, PieceHasher } from './pieces.ts';
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
  UpstreamHttp,
  UpstreamResponse,
} from './ports.ts';
export { Staging } from './staging.ts';
export { fetchFile } from './transfer.ts';
export { transferProtocol } from './transfer-messages.ts';
export { serveTransfers } from './transfer-server.ts';
export type {
  CheckVerdict,
  ClaimChecker,
  Ledger,
  LedgerEntry,
  PageOptions,
  Publishing,
  PublishResult,
  Requesting,
  RequestOutcome,
  Resolution,
  Resolver,
} from './types.ts';
export { type Finding, type StoredPaths, VerifiedFiles, type VerifiedReader } from './verified-reader.ts';
