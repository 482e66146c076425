import { connect } from 'node:tls';
import type { StackEntrance } from '#core/entryMessages.js';
import { certificateFingerprint, gatekeeperHost } from '#services/certificate.js';
import { checkEntrance } from '#services/entrance.js';
import { handshakeProblem, temporalCredentials } from '#services/temporal.js';
import { judge, type Check, type Finding, type Verdict } from '../stack/findings.js';
import {
  checkIdentity,
  checkParameters,
  checkSecrets,
  readParameters,
  untilEnd,
  type StageAccount,
} from './account.js';
import { contractsOf } from './dryRun.js';

/** How a deployed stage is, seen from here. @param api its address; null: as the app plane's parameter has it */
export async function examineStage(
  account: StageAccount,
  options: { api: string | null; rpcUrls: readonly string[] },
): Promise<Finding[]> {
  const { settings } = account;
  const findings = await judge([['credentials', () => checkIdentity(account)]]);
  let { api } = options;
  if (findings.every(({ state }) => state === 'ok')) {
    const [parameters, secretsFound] = await Promise.all([
      readParameters(account).catch((error: unknown) => error as Error),
      checkSecrets(account),
    ]);
    findings.push(
      ...(await judge([
        [
          'parameters',
          () => {
            if (parameters instanceof Error) throw parameters;
            return checkParameters(parameters);
          },
        ],
        ...secretsFound.map(([name, [state, detail]]): Check => [
          'secret',
          () => [state, `${name}: ${detail}`],
        ]),
      ])),
    );
    if (!(parameters instanceof Error)) api ??= parameters.get('api/url') ?? null;
  }
  findings.push(
    ...(await judge([
      ...apiChecks(account, api),
      ['contracts', () => contractsOf(account, options.rpcUrls)],
      ['temporal', () => checkTemporal(account)],
      ['entrance', () => checkEntranceOf(account, settings.entrance)],
      ...(settings.entrance
        ? ([['gatekeeper', () => checkGatekeeper(settings.entrance as StackEntrance)]] as Check[])
        : []),
    ])),
  );
  return findings;
}

function apiChecks({ settings }: StageAccount, api: string | null): Check[] {
  if (api === null)
    return [['api', () => ['warn', 'not asked: its address is not known; name it with --api']]];
  let date: string | null = null;
  let took = 0;
  const asked = (async (): Promise<Verdict> => {
    const began = Date.now();
    const answer = await fetch(new URL('/health', api), { signal: AbortSignal.timeout(15_000) }).catch(
      () => null,
    );
    if (answer === null) return ['fail', `${api} does not answer`];
    took = Date.now() - began;
    date = answer.headers.get('date');
    if (!answer.ok)
      return ['fail', `${api}/health answers ${answer.status}; see the log of the function api`];
    const health = (await answer.json()) as { stack?: string; deployment?: unknown };
    if (health.stack !== settings.coordinator)
      return ['fail', `${api} is the stack of ${health.stack}, the settings name ${settings.coordinator}`];
    if (JSON.stringify(health.deployment) !== JSON.stringify(settings.deployment))
      return ['fail', `${api} was deployed for other contracts than the settings name; sst deploy`];
    return ['ok', `${api} answered in ${took} ms`];
  })();
  return [
    ['api', () => asked],
    [
      'clock',
      async () => {
        await asked;
        return date === null
          ? ['warn', 'not compared: the API gave no time']
          : compareClocks(Date.parse(date), Date.now() - took / 2);
      },
    ],
  ];
}

/** Signed requests count for five minutes. @param there, here milliseconds since 1970 */
export function compareClocks(there: number, here: number): Verdict {
  const seconds = Math.round((here - there) / 1_000);
  const said = `this machine is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} the API`;
  if (Math.abs(seconds) >= 300)
    return [
      'fail',
      `${said}; signed requests are refused beyond 300 s: set the clock (timedatectl set-ntp true)`,
    ];
  return Math.abs(seconds) >= 30
    ? ['warn', `${said}; set the clock (timedatectl set-ntp true)`]
    : ['ok', said];
}

async function checkTemporal({ settings, secrets }: StageAccount): Promise<Verdict> {
  if (settings.temporal === null)
    return ['ok', 'a cluster of its own, inside the VPC: what calls it writes to its log when it cannot'];
  const { address, namespace } = settings.temporal;
  const text = secrets.get('temporal-credentials');
  const credentials = text === undefined ? null : temporalCredentials.safeParse(parsed(text));
  if (!credentials?.success)
    return ['warn', `${address} was not asked: temporal-credentials could not be read`];
  const problem = await handshakeProblem({ address, namespace, credentials: credentials.data });
  return problem === null ? ['ok', `${address} takes a TLS connection`] : ['fail', `${address}: ${problem}`];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function checkEntranceOf({ settings }: StageAccount, entrance: StackEntrance | null): Verdict {
  if (entrance === null) return ['warn', 'not signed: no runner is let in; see `roundtable entrance`'];
  checkEntrance(entrance, settings.deployment, settings.coordinator);
  return untilEnd(entrance.statement.expiry * 1_000, 'signed by the member');
}

/** Who answers at the entrance shows a certificate that the member signed for, and not much longer. */
function checkGatekeeper({ statement }: StackEntrance): Promise<Verdict> {
  const colon = statement.gatekeeper.lastIndexOf(':');
  const where = statement.gatekeeper;
  return new Promise((resolve) => {
    const socket = connect({
      host: where.slice(0, colon),
      port: Number(where.slice(colon + 1)),
      servername: gatekeeperHost,
      ALPNProtocols: ['h2'],
      // Self-signed: it is known by its fingerprint, which is compared below.
      rejectUnauthorized: false,
    });
    const end = (verdict: Verdict) => {
      socket
        .removeAllListeners()
        .on('error', () => undefined)
        .destroy();
      resolve(verdict);
    };
    socket.setTimeout(10_000, () => end(['fail', `${where} does not answer`]));
    socket.once('error', (error) => end(['fail', `${where}: ${error.message}`]));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      if (!certificate) return end(['fail', `${where} shows no certificate`]);
      const fingerprint = certificateFingerprint(certificate.raw);
      if (!statement.tlsFingerprints.includes(fingerprint))
        return end(['fail', `${where} shows ${fingerprint}, which the member did not sign for`]);
      end(
        untilEnd(Date.parse(certificate.validTo), `${where} shows a certificate that the member signed for`),
      );
    });
  });
}
