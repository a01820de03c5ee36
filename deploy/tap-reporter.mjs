#!/usr/bin/env node
/**
 * The reporter of `npm test`: reads TAP on its standard input, prints one line a test file and every failure with its diagnostics, then the
 * reasons of what was skipped, and closes with exactly one line, `N passed, N failed, N skipped`. A test is a subtest without subtests of
 * its own, or a file that has none; a skip is counted where it stands. Never decides the exit code: tap does.
 */

import { createInterface } from 'node:readline';

const POINT = /^(not )?ok\b(?:\s+\d+)?(?:\s+-)?\s*(.*?)(?:\s+#\s*(SKIP|TODO|time)\b[\s=:]*(.*?))?\s*(\{)?$/i;
const counts = { passed: 0, failed: 0, skipped: 0 };
const skips = [];

/** What has been seen inside the block of each depth since the last point above it. */
const levels = [];
let diagnostics = null;
let failing = null;

function level(depth) {
  while (levels.length <= depth) levels.push({ points: 0, tests: 0, failed: 0, failedTests: false, skipped: 0, current: '' });
  return levels[depth];
}

function print(line) {
  process.stdout.write(`${line}\n`);
}

function shorten(name) {
  return name.replace(/^dist\/(.*)\.js$/, '$1.ts');
}

/** The block below a point, once the point closes it; null when the point is a plain assertion. */
function takeBlock(depth) {
  if (levels.length <= depth + 1) return null;
  const [block] = levels.splice(depth + 1);
  return block;
}

/** The names that lead to a point: file > test > subtest > point. */
function trail(depth, name) {
  return [...levels.slice(0, depth).map((parent) => parent.current), name].filter(Boolean).map(shorten).join(' > ');
}

function reportFailure(depth, name) {
  failing = { indent: '  ' };
  print(`not ok ${trail(depth, name)}`);
}

function onPoint(depth, failed, name, directive, reason) {
  const here = level(depth);
  const block = takeBlock(depth);
  const skipped = directive === 'SKIP' || directive === 'TODO';
  here.points += 1;
  if (skipped) {
    counts.skipped += 1;
    here.skipped += 1;
    skips.push([trail(depth, name), reason].filter(Boolean).join(': '));
  } else if (block !== null) {
    closeBlock(here, block, failed, depth, name);
  } else if (failed) {
    here.failed += 1;
    reportFailure(depth, name);
  }
  if (depth === 0 && block !== null) {
    const time = /time=([\d.]+)ms/.exec(reason ? `time=${reason}` : '');
    print(
      `${failed ? 'FAIL' : 'ok  '} ${shorten(name)}  (${block.tests} ${block.tests === 1 ? 'test' : 'tests'}${time ? `, ${(Number(time[1]) / 1000).toFixed(1)} s` : ''})`,
    );
  }
}

/** A block without tests in it is itself a test; one with tests counts for itself only when it failed beside them. */
function closeBlock(here, block, failed, depth, name) {
  const own = block.tests === 0 && (block.points === 0 || block.points > block.skipped);
  if (own) counts[failed ? 'failed' : 'passed'] += 1;
  else if (failed && (block.failed > 0 || !block.failedTests)) counts.failed += 1;
  if (failed && block.failed === 0 && !block.failedTests) reportFailure(depth, name);
  if (own) block.tests = 1;
  here.tests += block.tests;
  if (failed) here.failedTests = true;
}

function onLine(raw) {
  const indent = /^ */.exec(raw)[0].length;
  const text = raw.slice(indent);
  if (diagnostics !== null) {
    if (indent === diagnostics && text === '...') diagnostics = null;
    else if (failing !== null) print(`${failing.indent}  ${raw.slice(diagnostics)}`);
    return;
  }
  if (text === '---') {
    diagnostics = indent;
    return;
  }
  failing = null;
  const depth = Math.floor(indent / 4);
  if (text.startsWith('# Subtest: ')) level(depth).current = text.slice(11);
  else if (/^1\.\.\d+/.test(text)) level(depth);
  else if (text.startsWith('Bail out!')) {
    counts.failed += 1;
    print(text);
  } else {
    const point = POINT.exec(text);
    if (point !== null) onPoint(depth, point[1] !== undefined, point[2] ?? '', point[3]?.toUpperCase(), point[4] ?? '');
  }
}

createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  .on('line', onLine)
  .on('close', () => {
    if (skips.length > 0) print('Skipped:');
    for (const skip of skips) print(`  ${skip}`);
    print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  });
