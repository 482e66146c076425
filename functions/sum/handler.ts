import { parseMessage } from '#core/schema.js';
import { shardCall, type ShardAnswer } from '#core/shards.js';
import { openLog } from '#services/log.js';
import { openSums } from '#services/sums.js';
import { openFunctionTelemetry } from '#services/telemetry/telemetry.js';
import { traced } from '#services/telemetry/traces.js';
import { openUpdates } from '#services/updates.js';
import { readEnvironment } from '../environment.js';
import { sumShard } from './sum.js';

const environment = readEnvironment('BUCKET_NAME');
const bucket = { bucket: environment.BUCKET_NAME };
const parts = { updates: openUpdates(bucket), sums: openSums(bucket) };
const log = openLog('sum');
const { traces } = openFunctionTelemetry('sum', log);

/** Lambda that the worker calls and waits for. */
export async function handler(event: unknown): Promise<ShardAnswer> {
  const call = parseMessage(shardCall, event, 'The call');
  const began = performance.now();
  const { job, round } = call;
  const answer = await traced(traces, { name: 'sum', of: { job, round } }, () => sumShard(parts, call));
  await traces.flush();
  log.info(
    {
      job,
      round,
      plan: call.plan,
      code: 'error' in answer ? answer.error.code : undefined,
      seconds: (performance.now() - began) / 1_000,
      megabytes: Math.round(process.memoryUsage.rss() / 1e6),
    },
    'part of a sum',
  );
  return answer;
}
