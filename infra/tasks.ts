import type { StageRules } from './settings.js';

/** Fargate's unit: so many processors and GB, so many times. */
export interface TaskSize {
  vcpu: number;
  memory: number;
  count: number;
}

/** What always runs. Production has each of Temporal's four roles twice; other stages all of them in one task. */
export function taskSizes(kind: StageRules['kind']): Record<'temporal' | 'gatekeeper' | 'worker', TaskSize> {
  return kind === 'production'
    ? {
        temporal: { vcpu: 0.5, memory: 1, count: 2 },
        gatekeeper: { vcpu: 0.5, memory: 1, count: 2 },
        worker: { vcpu: 2, memory: 8, count: 1 },
      }
    : {
        temporal: { vcpu: 1, memory: 2, count: 1 },
        gatekeeper: { vcpu: 0.25, memory: 0.5, count: 1 },
        worker: { vcpu: 1, memory: 4, count: 1 },
      };
}

/** Temporal's services in a stage: the roles that each runs. */
export function temporalServices(kind: StageRules['kind']): readonly (readonly string[])[] {
  return kind === 'production' ? temporalRoles.map((role) => [role]) : [temporalRoles];
}

const temporalRoles = ['frontend', 'history', 'matching', 'worker'] as const;
