import { z } from 'zod';
import type { TrainTask } from '#core/messages.js';
import { address, slug } from '#core/schema.js';
import { refuse } from './refusal.js';

/** A job's name, in which `*` stands for any characters. */
const jobPattern = z.string().regex(/^[a-z0-9*][a-z0-9*-]{0,62}$/, 'a job name; * stands for any characters');

const rule = z.strictObject({
  coordinators: z.array(address).min(1).describe('Members whose tasks this rule admits.'),
  jobs: z.array(jobPattern).min(1).describe('Names of jobs, such as digits or digits-*.'),
  data: z.array(slug).min(1).describe('Data sets that these jobs may train on.'),
  fewestRunners: z
    .number()
    .int()
    .min(1)
    .default(1)
    .describe('Only rounds with so many selected runners: among few, an update says more about its data.'),
});

/** policy.yaml: what the owner allows. A task that no rule admits is refused. */
export const policySchema = z.strictObject({
  allow: z.array(rule).default([]),
  throttle: z
    .number()
    .min(1)
    .max(1_000)
    .default(1)
    .describe('1 trains at full speed; 4 computes a quarter of the time and rests the rest.'),
  limits: z
    .strictObject({
      memoryMegabytes: z.number().int().min(1).exactOptional(),
      minutes: z.number().positive().exactOptional(),
    })
    .default({})
    .describe('What a training may take of this machine; refused beforehand, or stopped, beyond it.'),
});
export type Policy = z.output<typeof policySchema>;
export type WrittenPolicy = z.input<typeof policySchema>;

/** @throws a refusal, POLICY_REFUSED, that says which rule came closest and what it lacks */
export function checkPolicy(policy: Policy, task: TrainTask): void {
  const complaints = policy.allow.map((allowed) => complaintsOf(allowed, task));
  if (complaints.some((list) => list.length === 0)) return;
  const closest = complaints.reduce<string[] | null>(
    (best, list) => (best && best.length <= list.length ? best : list),
    null,
  );
  refuse(
    'POLICY_REFUSED',
    closest
      ? `The runner's owner does not allow ${closest.join(', ')}.`
      : "The runner's owner has not allowed any job yet.",
  );
}

function complaintsOf(allowed: z.output<typeof rule>, task: TrainTask): string[] {
  const selected = task.place.count;
  return [
    ...(allowed.coordinators.includes(task.coordinator) ? [] : [`tasks of coordinator ${task.coordinator}`]),
    ...(allowed.jobs.some((pattern) => matches(pattern, task.spec.name))
      ? []
      : [`the job ${task.spec.name}`]),
    ...(allowed.data.includes(task.spec.data.contract) ? [] : [`training on ${task.spec.data.contract}`]),
    ...(selected >= allowed.fewestRunners
      ? []
      : [`rounds of fewer than ${allowed.fewestRunners} runners (${selected})`]),
  ];
}

/** Greedy and without going back further than the last star: a pattern of many stars costs no more than one. */
function matches(pattern: string, name: string): boolean {
  let [at, from, star, tried] = [0, 0, -1, 0];
  while (from < name.length)
    if (pattern[at] === '*') [star, tried, at] = [at, from, at + 1];
    else if (pattern[at] === name[from]) [at, from] = [at + 1, from + 1];
    else if (star >= 0) [at, tried, from] = [star + 1, tried + 1, tried + 1];
    else return false;
  return /^\**$/.test(pattern.slice(at));
}
