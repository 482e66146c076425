import { describeShapes } from '#core/dataShape.js';
import type { RunnerStatus } from '#gpu-runner/owner/status.js';
import { isPublished, type Standing } from '#gpu-runner/owner/registration.js';
import type { RunnerHome } from '#gpu-runner/runnerHome.js';
import { age, count, tokens } from '../terminal/format.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';
import { policyLines } from './policyCheck.js';

/** The status as JSON: amounts as decimal strings. */
export function statusValue(home: RunnerHome, status: RunnerStatus): object {
  const { standing, ...rest } = status;
  return {
    home: home.folder,
    name: home.config.name,
    member: home.config.member,
    ...rest,
    chain: standing && {
      state: stateOf(standing),
      stake: String(standing.runner?.stake ?? 0n),
      stakeFree: freeAt(standing),
      minStake: String(standing.minStake),
      tokens: String(standing.tokens),
      wei: String(standing.coins),
      published: isPublished(standing),
      served: standing.served,
      serves: standing.serves,
    },
  };
}

export function statusLines(theme: Theme, home: RunnerHome, status: RunnerStatus): string[] {
  const { address, running, standing, chainProblem, stacks, data } = status;
  const { ok, fail } = glyphs(theme);
  const yes = paint(theme, 'green', ok);
  const no = paint(theme, 'red', fail);
  const title = (text: string): string => paint(theme, 'bold', text);
  return [
    `${title(home.config.name)}  ${address}  ${running ? 'running' : 'not running'}`,
    title('chain'),
    ...(standing ? chainLines(standing, yes, no) : [`  ${no} ${chainProblem}`]),
    title('stacks'),
    ...(stacks.length === 0 ? [`  ${no} none: policy.yaml allows no coordinator, or none has a stack`] : []),
    ...stacks.flatMap(({ coordinator, api, answer, problem, until }) => [
      `  ${answer && !answer.suspension ? yes : no} ${coordinator}${api === null ? '' : `  ${api}`}`,
      ...(answer
        ? [
            `    enrolled, ${answer.state}, seen ${age(answer.lastSeen, Date.now())}${until === null ? '' : `, certificate until ${until}`}`,
          ]
        : [`    ${problem?.message ?? ''}`]),
      ...(answer?.suspension
        ? [`    suspended since ${answer.suspension.at}: ${answer.suspension.reason}`]
        : []),
    ]),
    title('data'),
    ...(data.length === 0 ? ['  none'] : []),
    ...data.map(
      (contract) =>
        `  ${contract.name}: ${count(contract.samples)} samples of ${describeShapes(contract)}, ${contract.classes === 0 ? 'numbers' : `${contract.classes} classes`}`,
    ),
    title('policy'),
    ...policyLines(status.policy).map((line) => `  ${line}`),
  ];
}

function chainLines(standing: Standing, yes: string, no: string): string[] {
  const { runner, minStake, tokens: held, served } = standing;
  switch (stateOf(standing)) {
    case 'not registered':
      return [
        `  ${no} not registered: the stake is ${tokens(minStake)} tokens, the address has ${tokens(held)}`,
      ];
    case 'registered':
      return [
        `  ${yes} registered for ${runner?.member ?? ''}, stake ${tokens(runner?.stake ?? 0n)}`,
        isPublished(standing)
          ? `  ${yes} published: its TLS key and the data ${served?.data.join(', ') || '(none)'}`
          : `  ${no} what it published is not what it has; register publishes it anew`,
      ];
    case 'unbonding':
      return [
        `  ${no} has left; its stake of ${tokens(runner?.stake ?? 0n)} is free at ${freeAt(standing) ?? ''}`,
      ];
    case 'left':
      return [`  ${no} has left, and has no stake any more`];
  }
}

type ChainState = 'not registered' | 'registered' | 'unbonding' | 'left';

function stateOf({ runner }: Standing): ChainState {
  if (!runner) return 'not registered';
  if (runner.leftAt === null) return 'registered';
  return runner.stake > 0n ? 'unbonding' : 'left';
}

function freeAt({ runner, unbondingSeconds }: Standing): string | null {
  if (!runner || runner.leftAt === null) return null;
  return new Date((runner.leftAt + unbondingSeconds) * 1_000).toISOString();
}
