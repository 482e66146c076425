import { offlineAfterSeconds } from '#core/entryMessages.js';
import { pathToFileURL } from 'node:url';
import { distFile } from '#local/paths.js';
import { addVerb, resolveId, type Context } from '../command.js';
import { ownerVerbs } from '../runner/ownerVerbs.js';
import { serviceVerbs } from '../runner/serviceVerbs.js';
import type { Verb } from '../run.js';
import { age, count } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';

declare const ROUNDTABLE_VERSION: string | undefined;

export const runnerVerbs: Verb = (program, does) => {
  const runner = program.command('runner').description('runners of this stack, and running one of your own');

  addVerb(
    runner,
    'list',
    'every enrolled runner, its data sets and when it was last seen',
    'runner list',
  ).action(
    does(async (context) => {
      const runners = await context.api().runners();
      const theme = context.terminal.theme();
      const now = Date.now();
      context.print(runners, () =>
        runners.length === 0
          ? ['No runner has enrolled yet.']
          : table(
              theme,
              [
                { title: 'runner' },
                { title: 'state' },
                { title: 'data' },
                { title: 'seen', drop: 2 },
                { title: 'address', drop: 1 },
                { title: 'machine', drop: 3 },
              ],
              runners.map((view) => [
                view.name,
                !view.connected ||
                now - Date.parse(view.lastSeen) > offlineAfterSeconds * 1000 ||
                view.state === 'leaving'
                  ? 'offline'
                  : view.state,
                view.data.map(({ name, samples }) => `${name} (${count(samples)})`).join(', '),
                age(view.lastSeen, now),
                short(theme, view.runner),
                view.machine,
              ]),
            ),
      );
    }),
  );

  addVerb(
    runner,
    'suspend <runner>',
    'let a runner in nowhere until it is resumed; only the member whose stack it is may',
    "runner suspend 0x8f3a… --reason 'updates that are not finite'",
  )
    .requiredOption('--reason <text>', 'why; the runner and everybody else see it')
    .action(
      does<{ reason: string }>(async (context, { reason }, given) => {
        const found = await findRunner(context, given);
        await context.api().act({ action: 'runner.suspend', target: found.runner, reason });
        context.print({ runner: found.runner, suspended: true, reason }, () => [
          `${found.name} is suspended. \`roundtable runner resume ${found.name}\` lifts it.`,
        ]);
      }),
    );

  addVerb(runner, 'resume <runner>', 'lift the suspension of a runner', 'runner resume north-1').action(
    does(async (context, _options, given) => {
      const found = await findRunner(context, given);
      await context.api().act({ action: 'runner.resume', target: found.runner });
      context.print({ runner: found.runner, suspended: false }, () => [`${found.name} may come in again.`]);
    }),
  );

  addVerb(
    runner,
    'drain <runner>',
    "let a runner finish what it has and give it no new rounds; for its member and the stack's",
    "runner drain north-1 --reason 'a new graphics card'",
  )
    .option('--reason <text>', 'why; everybody sees it', '')
    .action(
      does<{ reason: string }>(async (context, { reason }, given) => {
        const found = await findRunner(context, given);
        const outcome = await context.api().act({ action: 'runner.drain', target: found.runner, reason });
        context.print({ runner: found.runner, drained: true, reason }, () => [
          `${found.name}: ${outcome}. \`roundtable runner undrain ${found.name}\` ends it.`,
        ]);
      }),
    );

  addVerb(runner, 'undrain <runner>', 'give a drained runner rounds again', 'runner undrain north-1').action(
    does(async (context, _options, given) => {
      const found = await findRunner(context, given);
      const outcome = await context.api().act({ action: 'runner.undrain', target: found.runner });
      context.print({ runner: found.runner, drained: false }, () => [`${found.name}: ${outcome}.`]);
    }),
  );

  const owner = {
    name: 'roundtable runner',
    version: typeof ROUNDTABLE_VERSION === 'string' ? ROUNDTABLE_VERSION : '0.0.0',
    agent: pathToFileURL(distFile('runner/agent.js')),
    page: distFile('runner/web'),
  };
  ownerVerbs(runner, does, owner);
  serviceVerbs(runner, does, owner);
};

/** By its name or the beginning of its address. A runner that never enrolled is named by its whole address. */
async function findRunner(context: Context, given: string): Promise<{ name: string; runner: `0x${string}` }> {
  const views = await context.api().runners();
  const named = views.find(({ name }) => name === given);
  if (named) return named;
  if (/^0x[0-9a-fA-F]{40}$/.test(given)) {
    const runner = given.toLowerCase() as `0x${string}`;
    return { name: views.find((view) => view.runner === runner)?.name ?? runner, runner };
  }
  return resolveId('runner', given, views, ({ runner }) => runner);
}
