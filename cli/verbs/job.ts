import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { disputability } from '#core/robust.js';
import { aggregationName } from '#core/robustNames.js';
import { finalJobStates, type JobView } from '#core/views.js';
import { addVerb, CheckFailed, resolveId, type Context } from '../command.js';
import { readJobFile } from '../job/jobFile.js';
import { specOf } from '../job/submit.js';
import { abandonedJob } from '../job/takeOver.js';
import { followJob } from '../progress/follow.js';
import type { Verb } from '../run.js';
import { age, percent } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';

export const jobVerbs: Verb = (program, does) => {
  const job = program.command('job').description('submit jobs and follow them');

  addVerb(
    job,
    'submit <file>',
    'check a job file, upload what it names and start it',
    'job submit examples/own-csv/job.yaml --watch',
  )
    .option('--watch', 'follow the job until it ends')
    .option('--key <key>', 'submitting again under the same key starts nothing new (default: a new one)')
    .action(
      does<{ watch?: boolean; key?: string }>(async (context, { watch, key }, file = '') => {
        const source = readJobFile(resolve(context.folder, file));
        const api = context.api();
        const spec = await specOf(api, source, context.stack());
        const answer = await api.submit({ key: key ?? randomUUID(), spec });
        if (watch !== true || !context.json)
          context.print(answer, () => [
            `${answer.repeated ? 'already submitted:' : 'submitted:'} job ${spec.name} ${answer.job}`,
            ...ruleOf(spec),
            ...(watch === true ? [] : [`follow it with: roundtable job watch ${answer.job.slice(0, 12)}`]),
          ]);
        if (watch === true) await watchJob(context, answer.job);
      }),
    );

  addVerb(job, 'list', 'all jobs, newest first', 'job list').action(
    does(async (context) => {
      const jobs = await context.api().jobs();
      context.print(jobs, () => (jobs.length === 0 ? ['No jobs yet.'] : jobTable(context, jobs)));
    }),
  );

  addVerb(
    job,
    'watch <job>',
    'follow a job until it ends; its id may be shortened',
    'job watch 0x3f2a91',
  ).action(does(async (context, _options, typed = '') => watchJob(context, await jobOf(context, typed))));

  addVerb(
    job,
    'take-over <job>',
    "go on with another member's job whose coordinator was convicted or vanished; the bond is for its rounds to come",
    'job take-over 0x3f2a91',
  ).action(
    does(async (context, _options, typed = '') => {
      const { job: id, spec } = await abandonedJob(context.stack(), typed);
      const answer = await context.api().takeOver(id, { spec });
      context.print(answer, () => [
        `${answer.repeated ? 'already taken over' : 'taken over'}: job ${spec.name} ${id}`,
        `follow it with: roundtable job watch ${id.slice(0, 12)}`,
      ]);
    }),
  );

  for (const [signal, description] of [
    ['pause', 'stop before the next round'],
    ['resume', 'go on after a pause'],
    ['cancel', 'end a job now; finished rounds stay and are paid, the rest of the budget is refunded'],
  ] as const)
    addVerb(job, `${signal} <job>`, description, `job ${signal} 0x3f2a91`).action(
      does(async (context, _options, typed = '') => {
        const id = await jobOf(context, typed);
        const outcome = await context.api().act({ action: `job.${signal}`, target: id });
        context.print({ job: id, signal, outcome }, () => [`${outcome} (${id.slice(0, 12)})`]);
      }),
    );
};

/** A robust rule, and whether anybody can be convicted by it; nothing of the weighted mean, which is what jobs have. */
function ruleOf({ aggregation, participants }: JobView['spec']): string[] {
  const { robust } = aggregation;
  if (!robust) return [];
  return [`rule: ${aggregationName(aggregation)}. ${disputability(robust, participants.most)}`];
}

async function watchJob(context: Context, job: string): Promise<void> {
  const progress = context.progress();
  try {
    const view = await followJob(context.api(), job, progress.emit, context.signal);
    if (view.state !== 'done') throw new CheckFailed();
  } finally {
    progress.close();
  }
}

async function jobOf(context: Context, typed: string): Promise<string> {
  return resolveId('job', typed, await context.api().jobs(), ({ job }) => job).job;
}

function jobTable(context: Context, jobs: readonly JobView[]): string[] {
  const theme = context.terminal.theme();
  return table(
    theme,
    [
      { title: 'job' },
      { title: 'name' },
      { title: 'state' },
      { title: 'rounds', align: 'right' },
      { title: 'accuracy', align: 'right' },
      { title: 'rule', drop: 3 },
      { title: 'started by', drop: 1 },
      { title: 'updated', drop: 2 },
    ],
    jobs.map((view) => [
      short(theme, view.job, 12, 0),
      view.spec.name,
      view.problem && finalJobStates.includes(view.state)
        ? `${view.state} (${view.problem.code})`
        : view.state,
      `${view.round}/${view.spec.rounds}`,
      percent(view.accuracy),
      aggregationName(view.spec.aggregation),
      view.trigger,
      age(view.updatedAt, Date.now()),
    ]),
  );
}
