import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Option } from 'commander';
import { RoundtableError } from '#core/errors.js';
import { triggerRequest } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import { addVerb, type Context } from '../command.js';
import { readJobFile } from '../job/jobFile.js';
import { specOf } from '../job/submit.js';
import type { Verb } from '../run.js';
import { age } from '../terminal/format.js';
import { table } from '../terminal/text.js';
import { readSecret } from '../trigger/secret.js';
import { sendWebhook } from '../trigger/webhook.js';

export const triggerVerbs: Verb = (program, does) => {
  const trigger = program.command('trigger').description('webhooks that start jobs');

  addVerb(
    trigger,
    'add <name>',
    'set up a trigger; its secret is shown once',
    'trigger add retrain --job job.yaml --kind github --ref refs/heads/main',
  )
    .requiredOption('--job <file>', 'the job it starts')
    .addOption(
      new Option('--kind <kind>', 'whose signatures it takes')
        .choices(['github', 'standard'])
        .default('github'),
    )
    .option('--event <event...>', 'GitHub events that start the job', ['push'])
    .option('--ref <ref...>', 'refs that start the job (default: any)')
    .action(
      does<{ job: string; kind: 'github' | 'standard'; event: string[]; ref?: string[] }>(
        async (context, options, name = '') => {
          const source = readJobFile(resolve(context.folder, options.job));
          const api = context.api();
          const spec = await specOf(api, source, context.stack());
          const request = parseMessage(
            triggerRequest,
            { name, kind: options.kind, events: options.event, refs: options.ref ?? [], spec },
            'The trigger',
          );
          printSecret(context, name, await api.addTrigger(request), 'was set up');
        },
      ),
    );

  addVerb(
    trigger,
    'rotate <name>',
    'add a new secret; the old one stays valid beside it',
    'trigger rotate retrain',
  ).action(
    does(async (context, _options, name = '') =>
      printSecret(context, name, await context.api().rotateTrigger(name), 'has a new secret'),
    ),
  );

  addVerb(
    trigger,
    'stop <name>',
    'none of its secrets counts any more, so nothing it is sent starts a job; `rotate` gives it a new one',
    'trigger stop retrain',
  ).action(
    does(async (context, _options, name = '') => {
      const view = await context.api().stopTrigger(name);
      context.print(view, () => [
        `trigger ${name} is stopped; \`roundtable trigger rotate ${name}\` starts it again`,
      ]);
    }),
  );

  addVerb(trigger, 'list', 'all triggers', 'trigger list').action(
    does(async (context) => {
      const triggers = await context.api().triggers();
      context.print(triggers, () =>
        triggers.length === 0
          ? ['No triggers yet.']
          : table(
              context.terminal.theme(),
              [
                { title: 'trigger' },
                { title: 'kind' },
                { title: 'job' },
                { title: 'starts on' },
                { title: 'secrets', align: 'right', drop: 1 },
                { title: 'set up', drop: 2 },
              ],
              triggers.map((view) => [
                view.name,
                view.kind,
                view.spec.name,
                view.kind === 'github' ? [...view.events, ...view.refs].join(', ') : 'every call',
                String(view.secrets),
                age(view.createdAt, Date.now()),
              ]),
            ),
      );
    }),
  );

  addVerb(
    trigger,
    'test <name>',
    'send the trigger a webhook signed with its secret, which starts its job',
    'trigger test retrain --secret-file retrain.secret',
    'trigger test retrain < retrain.secret',
  )
    .option(
      '--secret-file <file>',
      'file that holds the secret (default: $ROUNDTABLE_TRIGGER_SECRET, else standard input)',
    )
    .action(
      does<{ secretFile?: string }>(async (context, { secretFile }, name = '') => {
        const view = (await context.api().triggers()).find((candidate) => candidate.name === name);
        if (!view)
          throw new RoundtableError(
            'UNKNOWN_TRIGGER',
            `There is no trigger ${name}. \`roundtable trigger list\` shows them.`,
          );
        const secret = await readSecret(context, secretFile, (path) => readFileSync(path, 'utf8'));
        const sent = await sendWebhook({ api: context.stack().api, trigger: view, secret });
        context.print(sent, () => [
          `delivery ${sent.delivery} was answered with ${sent.status}`,
          ...(sent.job === null
            ? [`ignored: ${sent.ignored ?? 'no reason was given'}`]
            : [`job ${sent.job}`, `follow it with: roundtable job watch ${sent.job.slice(0, 12)}`]),
        ]);
      }),
    );
};

function printSecret(
  context: Context,
  name: string,
  { trigger, secret }: { trigger: unknown; secret: string },
  what: string,
): void {
  const url = `${context.stack().api}/webhooks/${name}`;
  context.print({ trigger, secret, url }, () => [
    `trigger ${name} ${what}`,
    `url     ${url}`,
    `secret  ${secret}`,
    'The secret is not shown again.',
  ]);
}
