import { Connection, WorkflowClient } from '@temporalio/client';
import { sendWebhook } from '#cli/trigger/webhook.js';
import { jobWorkflowId } from '#core/names.js';
import { cnn } from '../examples/mnist/models.js';
import type { Emit } from './main.js';
import { noData, quantile, specFor, withStack } from './stack.js';

const deliveries = 200;

/** From sending a signed webhook to the start of its workflow, one after the other; no worker takes them up. */
export async function run(emit: Emit): Promise<void> {
  await withStack({ data: [noData], runners: 'held' }, async (stack, api) => {
    const spec = await specFor(api, stack.members, cnn(), {
      name: 'doorbell',
      data: { contract: 'none', input: [1, 28, 28], classes: 10 },
      rounds: 1,
    });
    const { trigger, secret } = await api.addTrigger({
      name: 'doorbell',
      kind: 'github',
      events: ['push'],
      refs: [],
      spec,
    });
    await stack.supervisor.stop('worker');
    const connection = await Connection.connect({ address: stack.file.temporal.address });
    const client = new WorkflowClient({ connection });
    const answers: number[] = [];
    const starts: number[] = [];
    for (let delivery = 0; delivery < deliveries; delivery++) {
      const sent = Date.now();
      const { job } = await sendWebhook({ api: stack.file.api, trigger, secret });
      answers.push(Date.now() - sent);
      if (job === null) throw new Error('the webhook started no job');
      starts.push((await startTime(client, job)) - sent);
    }
    await connection.close();
    emit({
      deliveries,
      answerMs: { median: quantile(answers, 0.5), p99: quantile(answers, 0.99) },
      startedMs: { median: quantile(starts, 0.5), p99: quantile(starts, 0.99) },
    });
  });
}

async function startTime(client: WorkflowClient, job: string): Promise<number> {
  const handle = client.getHandle(jobWorkflowId(job));
  for (;;)
    try {
      return (await handle.describe()).startTime.getTime();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
}
