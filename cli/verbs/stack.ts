import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { printable } from '#core/printable.js';
import { stackFilePath } from '#local/stackFile.js';
import { demoData } from '#local/demo.js';
import { isAlive } from '#local/supervisor/process.js';
import { logPath } from '#local/supervisor/log.js';
import { readStatus, type StackStatus } from '#local/supervisor/record.js';
import { stopOnSignals } from '#local/supervisor/signals.js';
import { startStack, type PortName } from '#local/stack.js';
import { addVerb, CheckFailed, UsageError, type Context } from '../command.js';
import { examine } from '../stack/doctor.js';
import { findingLines } from '../stack/findings.js';
import { follow, lastLines } from '../stack/logs.js';
import { showStack } from '../stack/news.js';
import { several } from '../model/recordOptions.js';
import type { Verb } from '../run.js';
import { examineStage } from '../stage/running.js';
import { openStage } from './deploy.js';
import { age } from '../terminal/format.js';
import { table } from '../terminal/text.js';
import { paint } from '../terminal/theme.js';

export const stackVerbs: Verb = (program, does) => {
  addVerb(
    program,
    'up',
    'bring the whole stack up on this machine and keep it up until Ctrl-C',
    'up',
    'up --port api=8787',
  )
    .option('--fresh', 'forget everything that earlier runs left in the state folder')
    .option(
      '--data <name>',
      'data set of the runners: `mnist`, or the name of the one in data/ here',
      'mnist',
    )
    .option(
      '--port <name=number...>',
      'fix a port (dynamodb, s3, sqs, chain, gateway, temporal, temporalHttp, temporalUi, api, gatekeeper)',
    )
    .action(
      does<{ fresh?: boolean; port?: string[]; data: string }>(async (context, options) => {
        const { fresh, port } = options;
        const progress = context.progress();
        try {
          const stack = await startStack({
            stateDir: context.state,
            fresh: fresh === true,
            ports: fixedPorts(port ?? []),
            data: [demoData(options.data, context.folder)],
            onOpen(supervisor, news) {
              stopOnSignals(supervisor);
              showStack(supervisor, news, progress.emit);
            },
          });
          progress.emit({
            type: 'note',
            text: `page and API are at ${stack.file.api}/; Ctrl-C stops everything`,
          });
          const failure = await stack.supervisor.finished;
          if (failure) throw failure;
        } catch (error) {
          if (!isRoundtableError(error, 'ALREADY_RUNNING')) throw error;
          progress.close();
          context.print(readStatus(context.state), () => [
            error.message,
            '',
            ...statusLines(context, readStatus(context.state)),
          ]);
        } finally {
          progress.close();
        }
      }),
    );

  addVerb(program, 'down', 'stop the stack of this state folder, in order', 'down').action(
    does(async (context) => {
      const { supervisor } = readStatus(context.state);
      if (!supervisor) {
        context.print({ stopped: false }, () => [`No stack runs from ${context.state}.`]);
        return;
      }
      process.kill(supervisor.pid, 'SIGTERM');
      const deadline = Date.now() + 60_000;
      while (isAlive(supervisor)) {
        if (Date.now() > deadline)
          throw new RoundtableError(
            'UNAVAILABLE',
            `Process ${supervisor.pid} has not stopped within a minute. See \`roundtable status\`, or end it with kill ${supervisor.pid}.`,
          );
        await sleep(50);
      }
      context.print({ stopped: true }, () => ['The stack has stopped.']);
    }),
  );

  addVerb(program, 'status', 'what runs, where it listens, and since when', 'status').action(
    does((context) => {
      const status = readStatus(context.state);
      const stack = existsSync(stackFilePath(context.state)) ? context.stack() : null;
      const answer = stack && {
        api: stack.api,
        gateway: stack.gateway,
        chain: stack.chain.rpcUrl,
        temporal: stack.temporal,
      };
      context.print({ ...status, stack: answer }, () => statusLines(context, status));
    }),
  );

  addVerb(program, 'logs <part>', "a part's log", 'logs worker -f')
    .option('-f, --follow', 'go on as it grows, until Ctrl-C')
    .option('-n, --lines <count>', 'how many of the last lines', '40')
    .action(
      does<{ follow?: boolean; lines: string }>(async (context, options, part = '') => {
        const known = readStatus(context.state).parts.map(({ name }) => name);
        const path = logPath(context.state, part);
        if (!known.includes(part) || !existsSync(path))
          throw new RoundtableError(
            'NOT_FOUND',
            `There is no log of a part ${part}. Parts: ${known.join(', ') || 'none has run yet'}.`,
          );
        const count = Number(options.lines);
        if (!Number.isInteger(count) || count < 0) throw new UsageError('--lines takes a whole number.');
        const { lines, end } = await lastLines(path, count);
        context.print({ part, path, lines }, () => lines.map((line) => printable(line, Infinity)));
        if (options.follow === true)
          await follow(
            path,
            end,
            (text) => context.terminal.write(printable(text, Infinity)),
            context.signal,
          );
      }),
    );

  addVerb(
    program,
    'doctor',
    'look for whatever keeps a stack from running well, here or a stage in the cloud',
    'doctor',
    'doctor --stage production',
  )
    .option('--stage <name>', 'a deployed stage, with its settings in infra/stages')
    .option('--settings <folder>', "folder of the stages' settings", 'infra/stages')
    .option('--api <url>', "the stage's API (default: as its parameter has it)")
    .option('--rpc <url>', 'a node of the chain (default: those of the secret chain-rpc-urls)', several)
    .action(
      does<{ stage?: string; settings: string; api?: string; rpc?: string[] }>(async (context, options) => {
        const { stage, settings, api, rpc } = options;
        const findings =
          stage === undefined
            ? await examine(context)
            : await examineStage(openStage(stage, resolve(context.folder, settings)), {
                api: api ?? null,
                rpcUrls: rpc ?? [],
              });
        context.print(findings, () => findings.flatMap((finding) => findingLines(context, finding)));
        if (findings.some(({ state }) => state === 'fail')) throw new CheckFailed();
      }),
    );
};

function statusLines(context: Context, { supervisor, parts }: StackStatus): string[] {
  const theme = context.terminal.theme();
  if (!supervisor)
    return [`No stack runs from ${context.state}. Bring one up with \`roundtable up\` or \`npm start\`.`];
  const stack = existsSync(stackFilePath(context.state)) ? context.stack() : null;
  return [
    `process ${supervisor.pid}, up since ${supervisor.since}`,
    ...(stack
      ? [
          `API ${stack.api}`,
          `gateway ${stack.gateway}`,
          `chain ${stack.chain.rpcUrl}`,
          `Temporal ${stack.temporal.ui ?? stack.temporal.address}`,
        ]
      : []),
    '',
    ...table(
      theme,
      [
        { title: 'part' },
        { title: 'state' },
        { title: 'process', align: 'right' },
        { title: 'restarts', align: 'right', drop: 2 },
        { title: 'since', drop: 1 },
      ],
      parts.map(({ name, state, pid, restarts, since }) => [
        name,
        paint(theme, state === 'ready' ? 'green' : state === 'stopped' ? 'dim' : 'yellow', state),
        pid === null ? '' : String(pid),
        String(restarts),
        age(since, Date.now()),
      ]),
    ),
  ];
}

function fixedPorts(given: readonly string[]): Partial<Record<PortName, number>> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = '', number = ''] = text.split('=');
      const port = Number(number);
      if (name === '' || !Number.isInteger(port) || port < 1 || port > 65_535)
        throw new UsageError(`--port takes NAME=NUMBER, such as api=8787, not ${text}.`);
      return [name, port];
    }),
  );
}
