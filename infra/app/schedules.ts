import { schedules } from '../functions.js';
import type { Functions } from './functions.js';

/** The sweeper rings again for jobs that stayed queued; settle starts the epoch that is due. Both may be repeated. */
export function createSchedules(functions: Functions): void {
  new sst.aws.CronV2('SweepSchedule', { schedule: schedules.sweep, function: functions.sweep.arn });
  new sst.aws.CronV2('SettleSchedule', { schedule: schedules.settle, function: functions.settle.arn });
}
