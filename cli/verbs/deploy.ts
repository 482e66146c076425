import { resolve } from 'node:path';
import { readSettings } from '#infra/settings.js';
import { openAwsApi } from '#services/awsApi.js';
import { addVerb, CheckFailed, UsageError, type Context } from '../command.js';
import type { Verb } from '../run.js';
import type { StageAccount } from '../stage/account.js';
import { examineDeployment } from '../stage/dryRun.js';
import type { PlannedStack } from '../stage/planned.js';
import { findingLines } from '../stack/findings.js';
import { several } from '../model/recordOptions.js';
import { wrap } from '../terminal/text.js';

interface DeployOptions {
  stage: string;
  settings: string;
  rpc?: string[];
  dryRun?: boolean;
}

export const deployVerb: Verb = (program, does) => {
  addVerb(
    program,
    'deploy',
    'what a deployment to AWS needs and what it would create; nothing is changed',
    'deploy --dry-run --stage production',
  )
    .requiredOption('--stage <name>', 'the stage, with its settings in infra/stages')
    .option('--dry-run', 'look at everything, deploy nothing')
    .option('--settings <folder>', "folder of the stages' settings", 'infra/stages')
    .option('--rpc <url>', 'a node of the chain (default: those of the secret chain-rpc-urls)', several)
    .action(
      does<DeployOptions>(async (context, options) => {
        if (options.dryRun !== true)
          throw new UsageError(
            'Deploying is done by cdk and sst, step by step as docs/operations.md says. --dry-run looks at what they need.',
          );
        const folder = resolve(context.folder, options.settings);
        const { findings, stacks } = await examineDeployment(openStage(options.stage, folder), {
          folder,
          rpcUrls: options.rpc ?? [],
          environment: context.environment,
        });
        context.print({ findings, stacks }, () => [
          ...findings.flatMap((finding) => findingLines(context, finding)),
          ...(stacks.length === 0 ? [] : ['', 'Would be created:']),
          ...stacks.flatMap((stack) => stackLines(context, stack)),
        ]);
        if (findings.some(({ state }) => state === 'fail')) throw new CheckFailed();
      }),
    );
};

/** @throws INVALID_INPUT when the stage has no settings, or wrong ones */
export function openStage(stage: string, folder: string): StageAccount {
  const settings = readSettings(stage, folder);
  return { stage, settings, aws: openAwsApi({ region: settings.region }), secrets: new Map() };
}

function stackLines(context: Context, { stack, tool, resources, kinds }: PlannedStack): string[] {
  const list = kinds.map(([kind, count]) => `${count} ${kind}`).join(', ');
  const columns = Math.max(30, context.terminal.theme().columns - 22);
  const [first = '', ...more] = wrap(list, columns);
  return [
    `${tool}  ${stack.padEnd(11)}${String(resources).padStart(3)}  ${first}`,
    ...more.map((line) => ' '.repeat(21) + line),
  ];
}
