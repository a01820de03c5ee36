/**
 * The node's log: one event, one line, constant message, fields for the rest. JSON lines for machines, a readable line for people on a
 * terminal. Never writes a secret that a caller didn't hand it, never throws.
 */

import pino from 'pino';
import type { LogFormat, LogLevel } from '../config/settings.ts';
import type { Logger } from '../ports.ts';

export interface LogOutput {
  readonly write: (line: string) => unknown;
  readonly isTTY?: boolean;
}

const LABELS: Readonly<Record<string, string>> = { error: 'ERROR', warn: 'WARN ', info: 'INFO ', debug: 'DEBUG' };

/** A logger onto `output` (default: standard error). `auto` is text on a terminal and JSON elsewhere. */
export function createLogger(options: {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly name: string;
  readonly output?: LogOutput;
}): Logger {
  const output = options.output ?? process.stderr;
  const isText = options.format === 'text' || (options.format === 'auto' && output.isTTY === true);
  const logger = pino(
    {
      level: options.level,
      base: { node: options.name },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
    },
    { write: (line: string) => output.write(isText ? formatLine(line) : line) },
  );
  return {
    error: (fields, message) => logger.error(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    info: (fields, message) => logger.info(fields, message),
    debug: (fields, message) => logger.debug(fields, message),
  };
}

/** Errors as fields: what, code and stack, their causes in one line. */
function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const code = (value as { code?: unknown }).code;
  const cause = value.cause instanceof Error ? { cause: value.cause.message } : {};
  return { message: value.message, ...(typeof code === 'string' ? { code } : {}), ...cause, stack: value.stack };
}

/** One JSON line as `12:34:56.789 INFO  message  key=value …`; control characters in values stay escaped. */
function formatLine(line: string): string {
  const entry = JSON.parse(line) as Record<string, unknown>;
  const { level, time, node, message, ...fields } = entry;
  const label = LABELS[String(level)] ?? String(level);
  const shown = Object.entries(fields).map(([key, value]) => `  ${key}=${formatValue(value)}`);
  return `${String(time).slice(11, 23)} ${label} ${String(node)}: ${String(message)}${shown.join('')}\n`;
}

function formatValue(value: unknown): string {
  if (typeof value === 'string' && /^[\w.:/@+-]{1,200}$/.test(value)) return value;
  if (typeof value === 'object' && value !== null && 'message' in value && 'stack' in value) return JSON.stringify(value.message);
  return JSON.stringify(value);
}
