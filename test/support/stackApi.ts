import { openApi, type Api } from '#cli/api.js';
import { finalJobStates, type JobView } from '#core/views.js';
import type { LocalStack } from '#local/stack.js';
import { until } from './until.js';

/** A stack's API, asked with the key of its coordinator. */
export const apiOf = ({ file }: LocalStack): Api =>
  openApi({ url: file.api, audience: file.coordinator, keyFile: file.keys.coordinator });

/** Until every runner of the stack has entered. */
export async function untilEnrolled(api: Api, { runners }: LocalStack, seconds = 90): Promise<void> {
  const all = async () => (await api.runners()).length === runners.length;
  await until(all, `all ${runners.length} runners have entered`, seconds);
}

/** The job once it has ended, well or not. */
export function untilEnded(api: Api, job: string, seconds = 90): Promise<JobView> {
  const ended = async () => {
    const view = await api.job(job);
    return finalJobStates.includes(view.state) && view;
  };
  return until(ended, `job ${job} has ended`, seconds);
}

/** Until the job's rewards are in an epoch. */
export async function untilSettled(api: Api, job: string, seconds = 90): Promise<void> {
  const settled = async () => (await api.job(job)).settledEpoch !== null;
  await until(settled, `job ${job} is settled`, seconds);
}
