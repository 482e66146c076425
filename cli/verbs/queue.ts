import { RoundtableError } from '#core/errors.js';
import type { QueueView } from '#core/views.js';
import { addVerb } from '../command.js';
import type { Verb } from '../run.js';
import { age } from '../terminal/format.js';
import { table, wrap } from '../terminal/text.js';

export const queueVerbs: Verb = (program, does) => {
  const queue = program.command('queue').description('what waits, and what could not be processed');

  addVerb(queue, 'list', 'both queues and their dead letters, with why each is one', 'queue list').action(
    does(async (context) => {
      const queues = await context.api().queues();
      const theme = context.terminal.theme();
      context.print(queues, () => [
        ...table(
          theme,
          [
            { title: 'queue' },
            { title: 'waiting', align: 'right' },
            { title: 'could not be processed', align: 'right' },
          ],
          queues.map((view) => [view.queue, String(view.waiting), String(view.dead)]),
        ),
        ...queues.flatMap((view) => letters(view, theme.columns)),
      ]);
    }),
  );

  addVerb(
    queue,
    'redrive <queue>',
    'put the dead letters of a queue (jobs or credits) back into it, once what was wrong is mended',
    'queue redrive jobs',
  ).action(
    does(async (context, _options, name = '') => {
      const api = context.api();
      const known = await api.queues();
      const found = known.find((view) => view.queue === name);
      if (!found)
        throw new RoundtableError(
          'NOT_FOUND',
          `There is no queue ${name}. There are: ${known.map((view) => view.queue).join(', ')}.`,
        );
      const outcome = await api.act({ action: 'queue.redrive', target: found.queue });
      context.print({ queue: name, outcome }, () => [`${name}: ${outcome}`]);
    }),
  );
};

function letters({ queue, dead, letters }: QueueView, columns: number): string[] {
  if (dead === 0) return [];
  const rest = dead - letters.length;
  return [
    '',
    ...letters.flatMap(({ since, code, deliveries, reason, message }) => [
      `${queue}: ${code ?? 'no answer'}, ${age(since, Date.now())}${deliveries === null ? '' : `, delivered ${deliveries} times`}`,
      ...wrap(reason, columns - 2).map((line) => `  ${line}`),
      ...wrap(message, columns - 2).map((line) => `  ${line}`),
    ]),
    ...(rest > 0 ? [`… and ${rest} more`] : []),
    `Put them back with: roundtable queue redrive ${queue}`,
  ];
}
