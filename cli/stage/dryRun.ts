import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stageRules } from '#infra/settings.js';
import { projectRoot } from '#local/paths.js';
import { judge, type Check, type Finding, type Verdict } from '../stack/findings.js';
import { checkIdentity, checkRegion, checkSecrets, quotaChecks, type StageAccount } from './account.js';
import { checkContracts } from './contracts.js';
import { planDeployment, type PlannedStack } from './planned.js';

/** Everything that a deployment needs and that can be seen before; nothing is changed anywhere. */
export async function examineDeployment(
  account: StageAccount,
  options: {
    /** Folder of the settings. */
    folder: string;
    rpcUrls: readonly string[];
    environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<{ findings: Finding[]; stacks: PlannedStack[] }> {
  const { stage } = account;
  let stacks: PlannedStack[] = [];
  const [here, identity] = await Promise.all([
    judge([
      ['settings', () => describeSettings(account)],
      ['versions', versions],
      [
        'plan',
        async () => {
          const plan = await planDeployment(stage, { root: projectRoot, folder: options.folder });
          stacks = plan.stacks;
          const total = stacks.reduce((sum, { resources }) => sum + resources, 0);
          return plan.appPlane
            ? [
                'ok',
                `${total} resources in ${stacks.length} stacks, by the tools' own synthesis; all rules hold`,
              ]
            : [
                'warn',
                `${total} resources in ${stacks.length} stacks of the compute plane; for the app plane SST's platform is needed: npm run infra:check installs it`,
              ];
        },
      ],
    ]),
    judge([['credentials', () => checkIdentity(account)]]),
  ]);
  const findings = [...here, ...identity];
  if (identity.some(({ state }) => state === 'fail')) {
    const notAsked: Verdict = ['warn', 'not asked: that takes credentials of the account'];
    findings.push(
      ...(await judge(['region', 'quota', 'secret'].map((subject) => [subject, () => notAsked]))),
    );
  } else {
    const secretsFound = await checkSecrets(account);
    findings.push(
      ...(await judge([
        ['region', () => checkRegion(account, options.environment)],
        ...quotaChecks(account, stageRules(stage).kind),
        ...secretsFound.map(([name, [state, detail]]): Check => [
          'secret',
          () => [state, `${name}: ${detail}`],
        ]),
      ])),
    );
  }
  findings.push(...(await judge([['contracts', () => contractsOf(account, options.rpcUrls)]])));
  return { findings, stacks };
}

export async function contractsOf(account: StageAccount, given: readonly string[]): Promise<Verdict> {
  const stored = account.secrets.get('chain-rpc-urls')?.split(',') ?? [];
  const urls = (given.length > 0 ? given : stored)
    .map((url) => url.trim())
    .filter((url) => URL.canParse(url));
  return urls.length > 0
    ? checkContracts(account.settings, urls)
    : ['warn', 'not asked: name a node of the chain with --rpc, or put the secret chain-rpc-urls'];
}

function describeSettings({ settings, stage }: StageAccount): Verdict {
  const { kind } = stageRules(stage);
  const temporal = settings.temporal
    ? `Temporal Cloud at ${settings.temporal.address}`
    : 'a Temporal of its own';
  const said = `a ${kind} stage in ${settings.region} with ${temporal} and ${settings.runners.length} GPU runners`;
  return settings.entrance === null
    ? ['warn', `${said}; no \`entrance\` yet, so no runner is let in until the member signs it`]
    : ['ok', said];
}

/** What deploys, as it is installed. */
function versions(): Verdict {
  const said = `Node ${process.versions.node}, SST ${version('sst')}, CDK ${version('aws-cdk-lib')}`;
  return Number(process.versions.node.split('.')[0]) >= 22
    ? ['ok', said]
    : ['fail', `${said}; the CDK's command wants Node 22 or newer`];
}

const version = (name: string): string => {
  const file = join(projectRoot, 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
};
