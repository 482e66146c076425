/** The local event-source mapping: what SQS and EventBridge do for Lambda, in one process. */
import { openLog } from '#services/log.js';
import { eventsEnvironment } from './config.js';
import { loadLambda, type Lambda } from './lambda.js';
import { poll } from './poller.js';
import { openSqs } from './queues.js';
import { runSchedule } from './timetable.js';

const env = eventsEnvironment.parse(process.env);
const region = env.AWS_REGION;
const { sources, schedules } = env.EVENT_SOURCES;
const log = openLog('events');

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

const lambdas = new Map<string, Lambda>();
for (const name of new Set([...sources, ...schedules].map((entry) => entry.function)))
  lambdas.set(name, await loadLambda(env.FUNCTIONS_FOLDER, name, region));

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
