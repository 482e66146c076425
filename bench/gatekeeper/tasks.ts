import { randomUUID } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { defaultPayloadConverter, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { runnerQueue, trainActivityId } from '#core/names.js';

const { CommandType } = proto.temporal.api.enums.v1;
const namespace = 'default';

/**
 * Tasks that wait in a runner's queue, each of a workflow of its own as a runner has one activity a round.
 * @returns ends the workflows
 */
export async function scheduleTasks(
  address: string,
  runner: string,
  count: number,
  codec: PayloadCodec,
): Promise<() => Promise<void>> {
  const connection = await Connection.connect({ address });
  const service = connection.workflowService;
  const taskQueue = { name: `bench-${randomUUID()}` };
  const activityId = trainActivityId(runner);
  const ids = Array.from({ length: count }, () => randomUUID());
  for (const workflowId of ids) {
    await service.startWorkflowExecution({
      namespace,
      workflowId,
      requestId: randomUUID(),
      workflowType: { name: 'oneTask' },
      taskQueue,
    });
    const { taskToken, workflowExecution } = await connection.withDeadline(Date.now() + 30_000, () =>
      service.pollWorkflowTaskQueue({ namespace, taskQueue }),
    );
    const context = {
      type: 'activity',
      namespace,
      workflowId: workflowExecution?.workflowId ?? '',
      activityId,
      isLocal: false,
    } as const;
    await service.respondWorkflowTaskCompleted({
      namespace,
      taskToken: taskToken ?? null,
      commands: [
        {
          commandType: CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
          scheduleActivityTaskCommandAttributes: {
            activityId,
            activityType: { name: 'train' },
            taskQueue: { name: runnerQueue(runner) },
            input: { payloads: await codec.encode([defaultPayloadConverter.toPayload({ runner })], context) },
            scheduleToCloseTimeout: { seconds: 600 as never },
            startToCloseTimeout: { seconds: 600 as never },
          },
        },
      ],
    });
  }
  return async () => {
    for (const workflowId of ids)
      await service.terminateWorkflowExecution({ namespace, workflowExecution: { workflowId } });
    await connection.close();
  };
}
