/** The local event-source mapping: what SQS and EventBridge do for Lambda, in one process. */
import { openLog } from '#services/log.js';
import { serveInvocations } from '../lambda/invocations.js';
import { openLambda, type Lambda } from '../lambda/lambda.js';
import { eventsEnvironment } from './config.js';
import { poll } from './poller.js';
import { openSqs } from './queues.js';
import { runSchedule } from './timetable.js';

const env = eventsEnvironment.parse(process.env);
const region = env.AWS_REGION;
const { sources, schedules, invocations } = env.EVENT_SOURCES;
const log = openLog('events');

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

const called = [
  ...[...sources, ...schedules].map((entry) => entry.function),
  ...(invocations?.functions ?? []),
];
const lambdas = new Map(called.map((name) => [name, openLambda(env.FUNCTIONS_FOLDER, name, region)]));
// What answers to a queue should not have to be loaded when the first message comes.
await Promise.all(sources.map((source) => lambdaOf(source.function).warm()));
if (invocations) await serveInvocations({ lambdas, ...invocations });

const sqs = openSqs();
const existing = new Set<string>();
const running = [
  ...sources.map((source) =>
    poll(
      { sqs, source, region, log, lambda: lambdaOf(source.function), onQueue: () => announce(source.queue) },
      stop.signal,
    ),
  ),
  ...schedules.map((schedule) =>
    runSchedule({ schedule, region, log, lambda: lambdaOf(schedule.function) }, stop.signal),
  ),
];
if (sources.length === 0) log.info('event sources ready');
await Promise.all(running);
for (const lambda of lambdas.values()) lambda.close();
process.exit(0); // a handler that hangs must not hold the process

function lambdaOf(name: string): Lambda {
  const lambda = lambdas.get(name);
  if (lambda === undefined) throw new Error(`${name} was not loaded`);
  return lambda;
}

/** The supervisor waits for this line. */
function announce(queue: string): void {
  log.info({ queue }, 'queue exists');
  existing.add(queue);
  if (existing.size === sources.length) log.info('event sources ready');
}
