import type { MissingCode } from '#core/messages.js';
import type { JobState, RoundPhase, RoundSeconds } from '#core/views.js';

/** Every sentence of the page, so that they can be read in one go. */
export const strings = {
  name: 'Roundtable',
  skip: 'Skip to the content',
  nav: {
    overview: 'Overview',
    jobs: 'Jobs',
    models: 'Models',
    runners: 'Runners',
    rewards: 'Rewards',
    stack: 'Stack',
  },
  loading: 'Loading …',
  notFound: 'There is no such page.',
  noConfig: 'config.json could not be read, so the page does not know where its stack is.',
  stale: (age: string) => `The API does not answer. What is shown is what it said ${age}; it may be stale.`,
  silent: 'The API does not answer, and it has said nothing yet.',
  stillChecks: 'Model versions can still be checked from chain and archive.',
  command: 'On the command line',
  copied: 'Copied',
  copy: 'Copy',
  more: (count: string) => `Show ${count} more`,
  download: 'Download as',
  job: {
    none: 'No job has been run yet. The demo starts one: npm start',
    gone: 'There is no such job here.',
    accuracy: 'Accuracy on held-out data',
    loss: 'Loss on held-out data',
    noAccuracy: 'No round has been measured yet.',
    waiting: 'The job is queued; its first round has not begun.',
    missingMark: 'a runner was missing',
    checked: (checked: number, all: number) => `${checked} of ${all} rounds checked by this browser`,
    checkedFalse: (round: number) =>
      `Round ${round} is not what the chain says. Open it to see which field is wrong.`,
    checkedStopped: (reason: string) => `Rounds could not be checked: ${reason}.`,
    now: (round: number, phase: string) => `Round ${round} is ${phase}`,
    quorum: (here: number, asked: number, quorum: string) =>
      `${here} of ${asked} updates are in, ${quorum} needed`,
    deadline: (left: string) => `waits at most ${left} more`,
    announce: (round: number, accuracy: string, missing: number) =>
      `Round ${round} is done: accuracy ${accuracy}, ${missing === 0 ? 'nobody' : missing} missing.`,
    everybody: 'nobody',
  },
  receipt: {
    title: (round: number) => `Receipt of round ${round}`,
    there: 'Who was there',
    missing: 'Who was missing, and why',
    time: 'Where the time went',
    chain: 'On chain',
    archive: 'In the archive',
    version: 'The version it made',
    nobodyMissing: 'Nobody was missing.',
    running: 'The round has not ended; there is nothing to sign for yet.',
    gone: 'This job has no such round yet.',
  },
  model: {
    none: 'No model has been made yet.',
    gone: 'The API knows no such version. The chain may: check it below.',
    lineage: 'Lineage',
    card: 'Model card',
    verify: 'Check it here',
    explain:
      'Expected values come from the contracts, by the node named below, and never from the API that serves this page. The file comes from the archive and is hashed in this browser.',
    start: 'Check this version',
    flip: 'Check it with one bit flipped',
    flipExplain: 'One bit of the downloaded file is turned over first. The check has to fail.',
    isTrue: (count: number, ms: string) => `True. ${count} comparisons agree with the chain, in ${ms}.`,
    isFalse: (names: string) => `False: ${names}.`,
    flippedFalse: (names: string) => `The flipped bit was noticed. False: ${names}.`,
    running: 'Checking …',
    stopped: (reason: string) => `Not known: ${reason}.`,
    node: 'Your node (JSON-RPC URL)',
    contract: 'Jobs contract',
    nodeHint: 'Any node of the chain will do, best one of your own.',
  },
  runners: {
    none: 'No runner is enrolled.',
    offline: (age: string) => `silent for longer than a runner may be; last sign of life ${age}`,
    alive: (age: string) => `sign of life ${age}`,
  },
  rewards: {
    none: 'No epoch has been published yet.',
    recompute: 'Recompute all rewards here',
    explain:
      'Every epoch is rebuilt from the manifests that the chain names, and its root compared with the one on chain.',
    isTrue: (count: number, ms: string) =>
      `True. Every epoch rebuilt, ${count} comparisons agree with the chain, in ${ms}.`,
    unsettled: (amount: string) => `and ${amount} to be settled`,
  },
  stack: {
    chain: 'Chain',
    archive: 'Archive',
    table: 'Table',
    workflows: 'Workflows',
    contracts: 'Contracts',
    queues: 'Queues',
    queueNames: { jobs: 'Jobs to start', credits: 'Shares to credit' },
    waiting: (waiting: number) => `${waiting} waiting`,
    waitingAndDead: (waiting: number, dead: number) => `${waiting} waiting, ${dead} could not be processed`,
    deadLetters: 'Messages that could not be processed',
  },
} as const;

export const stateWords: Record<JobState, string> = {
  queued: 'queued',
  running: 'running',
  paused: 'paused',
  done: 'done',
  cancelled: 'cancelled',
  failed: 'failed',
};

export const phaseWords: Record<RoundPhase, string> = {
  selecting: 'selecting runners',
  collecting: 'collecting updates',
  aggregating: 'adding updates',
  evaluating: 'being measured',
  archiving: 'being archived',
  anchoring: 'being anchored on chain',
  done: 'done',
  failed: 'failed',
};

export const missingWords: Record<MissingCode, string> = {
  offline: 'was off',
  'no-data': 'had no such data',
  'not-registered': 'was not registered',
  suspended: 'was suspended',
  refused: 'refused',
  late: 'came too late',
  lost: 'was lost on the way',
  failed: 'failed',
  rejected: 'sent what was rejected',
};

export const timeWords: Record<Exclude<keyof RoundSeconds, 'total'>, string> = {
  select: 'select',
  collect: 'train and collect',
  aggregate: 'add',
  evaluate: 'measure',
  archive: 'archive',
  anchor: 'anchor',
};
