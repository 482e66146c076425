import { offlineAfterSeconds } from '#core/messages.js';
import { addVerb } from '../command.js';
import type { Verb } from '../run.js';
import { age, count } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';

export const runnerVerbs: Verb = (program, does) => {
  const runner = program.command('runner').description('runners that are enrolled at this stack');

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
};
