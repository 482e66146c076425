import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { RoundtableError } from '#core/errors.js';
import { jobFile } from '#core/jobSpec.js';
import { address, parseMessage } from '#core/schema.js';
import { judge, whyNot, type Policy } from '#gpu-runner/policy.js';
import { isWithin } from '#gpu-runner/policy/hours.js';
import { homePaths, readPolicy } from '#gpu-runner/runnerHome.js';
import { CheckFailed, UsageError } from '../command.js';
import type { Does } from '../run.js';
import { glyphs } from '../terminal/theme.js';
import { homeFolder } from './home.js';

interface CheckOptions {
  job?: string;
  coordinator?: string;
  runners?: string;
}

/** `policy check`: whether policy.yaml is right, and what it says to a job. */
export function policyVerb(parent: Command, does: Does, name: string): void {
  parent
    .command('policy')
    .description("the owner's rules")
    .command('check [home]')
    .description('whether policy.yaml is right, and whether it would allow a job')
    .option('--job <file>', 'a job.yaml')
    .option('--coordinator <address>', 'the member that would run the job')
    .option('--runners <count>', 'how many runners its rounds would have')
    .addHelpText(
      'after',
      `\nExample:\n  $ ${name} policy check /srv/runner --job job.yaml --coordinator 0x8f3a… --runners 5`,
    )
    .action(
      does<CheckOptions>(async (context, options, given) => {
        // Its rules are looked at even while runner.yaml is not filled in yet.
        const paths = homePaths(homeFolder(context, given));
        const policy = await readPolicy(paths);
        const { ok, fail } = glyphs(context.terminal.theme());
        if (options.job === undefined) {
          context.print({ valid: true, policy }, () => [
            `${ok} ${paths.policy} has no mistakes.`,
            ...policyLines(policy).map((line) => `  ${line}`),
          ]);
          return;
        }
        const offer = offerFrom(resolve(context.folder, options.job), options);
        const verdict = judge(policy, offer);
        const open = policy.hours === undefined || isWithin(policy.hours, new Date());
        const reason = verdict.allowed ? null : whyNot(verdict.lacks);
        context.print({ ...verdict, reason, offer, withinHours: open }, () => [
          verdict.allowed
            ? `${ok} The job ${offer.job} would be allowed by rule ${verdict.rule}.`
            : `${fail} The job ${offer.job} would be refused. ${reason}`,
          ...(open ? [] : ['  Not now: it is outside of the hours that policy.yaml sets.']),
          ...(policy.idle || policy.power ? ['  The machine is measured when a task comes.'] : []),
        ]);
        if (!verdict.allowed) throw new CheckFailed();
      }),
    );
}

/** The rules in words, one a line. */
export function policyLines(policy: Policy): string[] {
  const { allow, hours, idle, power, throttle, limits } = policy;
  return [
    ...(allow.length === 0 ? ['allows nothing: every task is refused'] : []),
    ...allow.map(
      ({ coordinators, jobs, data, purposes, fewestRunners }, i) =>
        `rule ${i + 1}: jobs ${jobs.join(', ')} on ${data.join(', ')} for ${coordinators.join(', ')}` +
        (purposes ? `, purposes ${purposes.join(', ')}` : '') +
        (fewestRunners > 1 ? `, rounds of at least ${fewestRunners} runners` : ''),
    ),
    ...(throttle > 1 ? [`throttle ${throttle}`] : []),
    ...(hours ? [`tasks begin at ${hours.spans.join(', ')} (${hours.zone})`] : []),
    ...(idle?.cpuBelow === undefined
      ? []
      : [`only while other work uses less than ${idle.cpuBelow}% of the CPU`]),
    ...(idle?.gpuBelow === undefined ? [] : [`only while the GPU is less than ${idle.gpuBelow}% in use`]),
    ...(power ? [`GPUs may draw ${power.watts} W each`] : []),
    ...(limits.memoryMegabytes === undefined
      ? []
      : [`a training may take ${limits.memoryMegabytes} MB of memory`]),
    ...(limits.minutes === undefined ? [] : [`a training may take ${limits.minutes} minutes`]),
  ];
}

function offerFrom(path: string, { coordinator, runners }: CheckOptions) {
  if (coordinator === undefined)
    throw new UsageError('--coordinator is missing: whose job it is decides as much as what it is.');
  const count = Number(runners ?? 1);
  if (!Number.isSafeInteger(count) || count < 1) throw new UsageError('--runners is a number from 1 on.');
  const job = parseMessage(jobFile, readYaml(path), path);
  return {
    coordinator: parseMessage(address, coordinator.toLowerCase(), '--coordinator'),
    job: job.name,
    data: job.data.contract,
    purpose: job.data.purpose,
    runners: count,
  };
}

function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new RoundtableError('JOB_INVALID', `${path} cannot be read as YAML.`, { cause });
  }
}
