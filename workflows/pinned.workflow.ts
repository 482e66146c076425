import type { WorkflowDefinitionOptions } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';

/**
 * For `setWorkflowOptions`: an execution ends on the build of the worker that it began on. Temporal refuses to hear of
 * it from a worker that belongs to no deployment, such as the one of a stack on one machine.
 */
export function pinned(): WorkflowDefinitionOptions {
  return workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'PINNED' } : {};
}
