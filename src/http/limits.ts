/** Limits of every HTTP server of the node against slow and greedy clients. */

export const MAX_HEADER_BYTES = 16_384;
export const HEADERS_TIMEOUT_MS = 10_000;
export const KEEP_ALIVE_MS = 75_000;
/** How often they are looked after. */
export const CHECK_INTERVAL_MS = 5000;
