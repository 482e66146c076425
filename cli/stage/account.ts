import { appGives, computeGives, parameterName } from '#infra/contract.js';
import { secretKinds } from '#infra/secrets.js';
import type { Settings } from '#infra/settings.js';
import { taskSizes, temporalServices } from '#infra/tasks.js';
import { isRoundtableError } from '#core/errors.js';
import type { AwsApi } from '#services/awsApi.js';
import type { Check, Verdict } from '../stack/findings.js';

/** What is asked of a stage's AWS account; nothing is changed there. */
export interface StageAccount {
  stage: string;
  settings: Settings;
  aws: AwsApi;
  /** Values that could be read, by name; filled by checkSecrets. */
  secrets: Map<string, string>;
}

export async function checkIdentity({ aws, settings }: StageAccount): Promise<Verdict> {
  const { account, arn } = await aws.identity();
  if (account !== settings.account)
    return [
      'fail',
      `${arn} is of account ${account}, the settings name ${settings.account}; set AWS_PROFILE`,
    ];
  return ['ok', `${arn}, the account of the settings`];
}

/** @param environment of the process: what the other tools would take for the region */
export async function checkRegion(
  { aws, settings }: StageAccount,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Verdict> {
  const other = [environment['AWS_REGION'], environment['AWS_DEFAULT_REGION']].find(
    (region) => region !== undefined && region !== settings.region,
  );
  const { region } = settings;
  if (other !== undefined)
    return [
      'fail',
      `the settings name ${region}, the environment ${other}; unset AWS_REGION, or correct one`,
    ];
  try {
    const { Parameter: found } = await aws.call('ssm', 'GetParameter', {
      Name: '/cdk-bootstrap/hnb659fds/version',
    });
    return ['ok', `${region}, bootstrapped for the CDK (version ${(found as { Value: string }).Value})`];
  } catch (error) {
    if (!isRoundtableError(error, 'NOT_FOUND')) throw error;
    const command = `npx cdk bootstrap aws://${settings.account}/${region}`;
    return ['fail', `${region} is not bootstrapped for the CDK yet: ${command}`];
  }
}

/** Limits of new accounts that a stack meets first. */
export function quotaChecks({ aws, settings }: StageAccount, kind: 'personal' | 'staging' | 'production') {
  const sizes = taskSizes(kind);
  const services = temporalServices(kind).length;
  const fargate =
    (settings.temporal ? 0 : sizes.temporal.vcpu * sizes.temporal.count * services) +
    sizes.gatekeeper.vcpu * sizes.gatekeeper.count +
    // A second worker while a build drains.
    2 * sizes.worker.vcpu * sizes.worker.count;
  const needed: [service: string, code: string, what: string, least: number][] = [
    ['lambda', 'L-B99A9384', 'functions at once', 50],
    ['ec2', 'L-0263D0A3', 'Elastic IP addresses, one for each NAT gateway', kind === 'production' ? 2 : 1],
    ['vpc', 'L-F678F1CE', 'VPCs in the region, one of them new', 1],
    ['fargate', 'L-3032A538', 'Fargate processors', Math.ceil(fargate)],
    ...(settings.runners.length > 0
      ? [
          [
            'ec2',
            'L-3819A6DF',
            'processors of spot machines with a GPU',
            4 * settings.runners.length,
          ] as const,
        ]
      : []),
  ].map(([service, code, what, least]) => [String(service), String(code), String(what), Number(least)]);
  return needed.map(([service, code, what, least]): Check => [
    'quota',
    async () => {
      const answer = await aws.call('servicequotas', 'GetServiceQuota', {
        ServiceCode: service,
        QuotaCode: code,
      });
      const value = Number((answer['Quota'] as { Value?: number } | undefined)?.Value);
      return value >= least
        ? ['ok', `${value} ${what}; ${least} are needed`]
        : ['fail', `${value} ${what}, but ${least} are needed; ask for more in Service Quotas (${code})`];
    },
  ]);
}

/** Every secret that a person puts: there, readable, of the right form, not at its end. */
export async function checkSecrets(account: StageAccount): Promise<[name: string, verdict: Verdict][]> {
  const kinds = secretKinds(account.settings);
  const missing = new Map<string, Verdict>();
  await Promise.all(
    kinds.map(async ({ name, what }) => {
      const id = `roundtable/${account.stage}/${name}`;
      try {
        const answer = await account.aws.call('secretsmanager', 'GetSecretValue', { SecretId: id });
        account.secrets.set(name, String(answer['SecretString']));
      } catch (error) {
        if (isRoundtableError(error, 'NOT_FOUND'))
          missing.set(name, [
            'warn',
            `there is no ${id} yet; \`cdk deploy\` makes it, then put ${what} (put-secret-value)`,
          ]);
        else missing.set(name, ['fail', error instanceof Error ? error.message : String(error)]);
      }
    }),
  );
  return kinds.map(({ name, what, examine }) => {
    const value = account.secrets.get(name);
    if (value === undefined) return [name, missing.get(name) ?? ['fail', 'could not be read']];
    const verdict = examine(value, account.settings, account.secrets);
    if ('wrong' in verdict) return [name, ['fail', `${verdict.wrong}; put ${what} (put-secret-value)`]];
    if (verdict.endsAt === null) return [name, ['ok', what]];
    return [name, untilEnd(verdict.endsAt, what)];
  });
}

/** @param endsAt milliseconds since 1970 */
export function untilEnd(endsAt: number, what: string): Verdict {
  const days = Math.floor((endsAt - Date.now()) / 86_400_000);
  const said = `${what}, until ${new Date(endsAt).toISOString().slice(0, 10)}`;
  if (days < 0) return ['fail', `${said}: that is over`];
  return days < soonDays ? ['warn', `${said}: ${days} days are left, replace it`] : ['ok', said];
}

const soonDays = 21;

/** What the planes hand each other. */
export async function readParameters({ aws, stage }: StageAccount): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of [...computeGives, ...appGives])
    try {
      const { Parameter: parameter } = await aws.call('ssm', 'GetParameter', {
        Name: parameterName(stage, name),
      });
      found.set(name, String((parameter as { Value: string }).Value));
    } catch (error) {
      if (!isRoundtableError(error, 'NOT_FOUND')) throw error;
    }
  return found;
}

export function checkParameters(found: ReadonlyMap<string, string>): Verdict {
  const missing = [...computeGives, ...appGives].filter((name) => !found.has(name));
  if (missing.length === 0) return ['ok', `all ${found.size} that the planes hand each other`];
  const compute = missing.some((name) => (computeGives as readonly string[]).includes(name));
  return [
    'fail',
    `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not there; ` +
      (compute ? 'deploy Network, Database and Temporal' : 'deploy the app plane (sst deploy)'),
  ];
}
