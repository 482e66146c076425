import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure } from '@temporalio/workflow';
import type { Problem } from '#core/views.js';

/** The stable code and message at the bottom of a chain of Temporal failures. */
export function problemOf(error: unknown): Problem {
  let current: unknown = error;
  while ((current instanceof ActivityFailure || current instanceof ChildWorkflowFailure) && current.cause)
    current = current.cause;
  if (current instanceof ApplicationFailure)
    return { code: current.type ?? 'INTERNAL', message: current.message };
  return { code: 'INTERNAL', message: current instanceof Error ? current.message : String(current) };
}
