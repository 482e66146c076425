import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ScheduledEvent } from 'aws-lambda';
import type { Logger } from 'pino';
import type { Schedule } from './config.js';
import type { Lambda } from '../lambda/lambda.js';

/** Calls the handler every so many seconds, as an EventBridge rule does, but never while it still runs. */
export async function runSchedule(
  parts: { lambda: Lambda; schedule: Schedule; region: string; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { lambda, schedule, region, log } = parts;
  let next = Date.now() + schedule.everySeconds * 1000;
  for (;;) {
    await sleep(Math.max(0, next - Date.now()), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await lambda.invoke(scheduledEvent(lambda.name, region), schedule.timeoutSeconds);
    } catch (error) {
      log.error({ function: lambda.name, err: error }, 'the scheduled handler failed');
    }
    next = Math.max(next + schedule.everySeconds * 1000, Date.now());
  }
}

/** https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled.html */
function scheduledEvent(name: string, region: string): ScheduledEvent {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: '000000000000',
    time: `${new Date().toISOString().slice(0, 19)}Z`,
    region,
    resources: [`arn:aws:events:${region}:000000000000:rule/${name}`],
    detail: {},
  };
}
