import { writeFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { addVerb, CheckFailed, type Context } from '../command.js';
import { demoJob, runDemo, startDemoStack } from '../demo/demo.js';
import { nextCommands, renderReport } from '../report/render.js';
import type { Verb } from '../run.js';

export const demoVerb: Verb = (program, does) => {
  addVerb(
    program,
    'demo',
    'three members, four runners, one job: from a webhook to everybody being paid',
    'demo',
    'demo --exit --report report.json',
    'demo --job examples/own-csv/job.yaml',
  )
    .option('--exit', 'end after the report, with exit code 1 if anything in it failed')
    .option('--report <file>', 'write the report as JSON')
    .option('--fresh', 'forget what earlier runs left in the state folder')
    .option('--job <file>', 'run this job instead (its data lie in data/ beside it)')
    .action(
      does<{ exit?: boolean; report?: string; fresh?: boolean; job?: string }>(async (context, options) => {
        const source = demoJob(context, options.job);
        const progress = context.progress();
        let stack: Awaited<ReturnType<typeof startDemoStack>>['stack'] = null;
        try {
          const started = await startDemoStack(context, {
            source,
            fresh: options.fresh === true,
            emit: progress.emit,
          });
          ({ stack } = started);
          const result = await runDemo(context, { ...started, source, emit: progress.emit });
          progress.close();
          context.print({ type: 'report', ...result }, () =>
            renderReport(context.terminal.theme(), {
              ...result,
              next: nextCommands(result.report, commandOf(context)),
            }),
          );
          if (options.report !== undefined)
            writeFileSync(
              resolve(context.folder, options.report),
              JSON.stringify(result.report, null, 2) + '\n',
            );
          if (stack && options.exit !== true) {
            context.print({ type: 'up', api: result.report.stack.api }, () => [
              `The page is at ${result.report.stack.api}/. The stack stays up until Ctrl-C.`,
            ]);
            const failure = await stack.supervisor.finished;
            if (failure) throw failure;
            return;
          }
          if (result.problems.length > 0) throw new CheckFailed();
        } finally {
          await stack?.stop();
          progress.close();
        }
      }),
    );
};

/** How this person calls the command line for the stack that was shown. */
function commandOf({ state, folder }: Context): string {
  if (state === resolve(folder, '.roundtable')) return 'npx roundtable';
  const path = relative(folder, state);
  return `npx roundtable --state ${path !== '' && path.length < state.length ? path : state}`;
}
