import type { NativeConnection, WorkerOptions } from '@temporalio/worker';

/**
 * Builds of the workflows that follow each other without a pause: a round ends on the build it began on, everything
 * else goes on with the current one. Declared in the workflows; here is what the worker says of itself.
 * https://docs.temporal.io/worker-versioning
 */
export const deploymentName = 'coordinator';

export function versionedOptions(buildId: string): Pick<WorkerOptions, 'workerDeploymentOptions'> {
  return {
    workerDeploymentOptions: {
      version: { deploymentName, buildId },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'AUTO_UPGRADE',
    },
  };
}

/**
 * New work goes to this build from now on. The server knows a build once its worker has polled, so this is tried
 * until then.
 * @throws what the server says when it refuses for another reason, or the signal's reason
 */
export async function becomeCurrent(
  connection: Pick<NativeConnection, 'workflowService' | 'withDeadline'>,
  options: { namespace: string; buildId: string; identity: string },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      await connection.withDeadline(Date.now() + 10_000, () =>
        connection.workflowService.setWorkerDeploymentCurrentVersion({
          ...options,
          deploymentName,
          // Other builds served the same queues, and only those; none is taken away by a typing error.
          ignoreMissingTaskQueues: false,
        }),
      );
      return;
    } catch (error) {
      if (!isNotKnownYet(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

const pauseMs = 500;

/** gRPC: NOT_FOUND before the first poll, FAILED_PRECONDITION before all queues have been polled, or no answer. */
function isNotKnownYet(error: unknown): boolean {
  return error instanceof Error && 'code' in error && [4, 5, 9, 14].includes(Number(error.code));
}
