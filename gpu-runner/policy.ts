import { z } from 'zod';
import type { TrainTask } from '#core/messages.js';
import { address, slug } from '#core/schema.js';
import { bandwidthSchema } from './bandwidth.js';
import { hoursSchema } from './policy/hours.js';
import { idleSchema, powerSchema } from './policy/machine.js';
import { refuse } from './refusal.js';

/** A job's name, in which `*` stands for any characters. */
const jobPattern = z.string().regex(/^[a-z0-9*][a-z0-9*-]{0,62}$/, 'a job name; * stands for any characters');

const rule = z.strictObject({
  coordinators: z.array(address).min(1).describe('Members whose tasks this rule admits.'),
  jobs: z.array(jobPattern).min(1).describe('Names of jobs, such as digits or digits-*.'),
  data: z.array(slug).min(1).describe('Data sets that these jobs may train on.'),
  purposes: z
    .array(slug)
    .min(1)
    .optional()
    .describe('Only jobs that name one of these purposes; left out, a job need not name any.'),
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
  bandwidth: bandwidthSchema
    .prefault({})
    .describe(
      'What all transfers together may send (up) and receive (down): bytes per second, or a rate like 4 MB/s or 50 Mbit/s.',
    ),
  receipts: z
    .enum(['keep', 'enforce'])
    .default('keep')
    .describe(
      "What becomes of coordinators' receipts. enforce: ask on chain for an update that was left out (its bond, and gas, from the runner's account), and claim the fee of rounds that died.",
    ),
  hours: hoursSchema.optional().describe('When tasks may begin; at any time if left out.'),
  idle: idleSchema.optional().describe('Only while other work leaves the machine idle.'),
  power: powerSchema.optional().describe('How much the GPUs may draw.'),
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

/** What a job wants of a runner, as far as the rules look at it. */
export interface Offer {
  coordinator: string;
  job: string;
  data: string;
  purpose?: string | undefined;
  /** How many runners are selected. */
  runners: number;
}

export const offerOf = ({ coordinator, spec, place }: TrainTask): Offer => ({
  coordinator,
  job: spec.name,
  data: spec.data.contract,
  purpose: spec.data.purpose,
  runners: place.count,
});

/** The first rule that admits an offer, counted from 1; or what the closest one lacks, [] if there are no rules. */
export type Verdict = { allowed: true; rule: number } | { allowed: false; lacks: string[] };

export function judge(policy: Policy, offer: Offer): Verdict {
  const complaints = policy.allow.map((allowed) => complaintsOf(allowed, offer));
  const rule = complaints.findIndex((list) => list.length === 0);
  if (rule >= 0) return { allowed: true, rule: rule + 1 };
  const [closest] = complaints.sort((a, b) => a.length - b.length);
  return { allowed: false, lacks: closest ?? [] };
}

/** @returns the rule that admits the task, counted from 1 @throws a refusal, POLICY_REFUSED */
export function checkPolicy(policy: Policy, task: TrainTask): number {
  const verdict = judge(policy, offerOf(task));
  return verdict.allowed ? verdict.rule : refuse('POLICY_REFUSED', whyNot(verdict.lacks));
}

export function whyNot(lacks: readonly string[]): string {
  return lacks.length > 0
    ? `The runner's owner does not allow ${lacks.join(', ')}.`
    : "The runner's owner has not allowed any job yet.";
}

function complaintsOf(allowed: z.output<typeof rule>, offer: Offer): string[] {
  const { purposes } = allowed;
  return [
    ...(allowed.coordinators.some((known) => known === offer.coordinator)
      ? []
      : [`tasks of coordinator ${offer.coordinator}`]),
    ...(allowed.jobs.some((pattern) => matches(pattern, offer.job)) ? [] : [`the job ${offer.job}`]),
    ...(allowed.data.includes(offer.data) ? [] : [`training on ${offer.data}`]),
    ...(purposes === undefined || (offer.purpose !== undefined && purposes.includes(offer.purpose))
      ? []
      : [offer.purpose === undefined ? 'jobs without a purpose' : `the purpose ${offer.purpose}`]),
    ...(offer.runners >= allowed.fewestRunners
      ? []
      : [`rounds of fewer than ${allowed.fewestRunners} runners (${offer.runners})`]),
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
