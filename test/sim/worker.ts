/** A thread of the search: runs each plan that it is sent and answers with its report. */

import { parentPort } from 'node:worker_threads';
import type { Plan } from './plan.ts';
import { simulate } from './simulation.ts';

parentPort?.on('message', (plan: Plan) => {
  void simulate(plan).then((outcome) => parentPort?.postMessage(outcome));
});
