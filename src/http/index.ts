/** What the HTTP assembly shows. */

export { adminApp } from './admin-app.ts';
export { type HttpErrorCode, HttpStartError } from './http-error.ts';
export { metricsApp } from './metrics-app.ts';
export { type PublicAppOptions, publicApp } from './public-app.ts';
export { type HttpDeps, type HttpServers, startHttp } from './servers.ts';
export { findAdminToken, isAuthorized, loadAdminToken, loadPublishToken } from './tokens.ts';
