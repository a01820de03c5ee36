/** What the HTTP assembly shows. */

export { adminApp } from './admin-app.ts';
export { publicApp } from './public-app.ts';
export { type HttpServers, startHttp } from './servers.ts';
export { findAdminToken, isAuthorized, loadAdminToken, loadPublishToken } from './tokens.ts';
