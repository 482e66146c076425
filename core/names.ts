/** Names that processes meet under: workflows, task queues, signals, queues, and the ids of what they run. */

export const workflowNames = {
  trainingJob: 'trainingJob',
  trainingRound: 'trainingRound',
  settlement: 'settlement',
  answering: 'answering',
} as const;

export const signalNames = { pause: 'pause', resume: 'resume', cancel: 'cancel' } as const;

/** SQS queues. Each is a doorbell with a dead-letter queue of its own. */
export const queueNames = { jobs: 'roundtable-jobs', credits: 'roundtable-credits' } as const;

/** Deliveries of one message before it lies in the dead-letter queue. */
export const mostDeliveries = 5;

export const deadLetterName = (queue: string): string => `${queue}-dead`;

export const tableName = 'roundtable';
export const bucketName = 'roundtable-artifacts';

/** Task queue of workflows and of the activities that need neither a runner nor a signing key. */
export const coordinatorQueue = 'coordinator';

/** Task queue of the only sender of transactions for one key; its worker runs one activity at a time. */
export const chainQueue = (address: string): string => `chain/${address.toLowerCase()}`;

/** Task queue that one runner polls, and nobody else. */
export const runnerQueue = (runner: string): string => `runner/${runner.toLowerCase()}`;

/** What stands for the trigger in the row of a job that another coordinator began; no trigger can have this name. */
export const takeOverTrigger = 'take over';

/** A job's workflow has the job's id, so that starting it twice is harmless. */
export const jobWorkflowId = (job: string): string => job;
export const roundWorkflowId = (job: string, round: number): string => `${job}/round/${round}`;
export const retentionWorkflowId = (job: string): string => `${job}/updates`;
/** The job, and the round if it is one's, that a workflow works for; null for a settlement, which is of many jobs. */
export function jobOfWorkflow(id: string): { job: `0x${string}`; round?: number } | null {
  const [, job, round] = /^0x([0-9a-f]{64})(?:\/round\/(\d+))?(?:\/|$)/.exec(id) ?? [];
  if (job === undefined) return null;
  return { job: `0x${job}`, ...(round === undefined ? {} : { round: Number(round) }) };
}
/** Some of a round's runners, when they are too many for one history. */
export const groupWorkflowId = (job: string, round: number, group: number): string =>
  `${roundWorkflowId(job, round)}/runners/${group}`;
/** The same runners, when they are asked to reveal what they sealed. */
export const revealGroupWorkflowId = (job: string, round: number, group: number): string =>
  `${roundWorkflowId(job, round)}/revealing/${group}`;
export const settlementWorkflowId = (payer: string, epoch: number): string =>
  `settlement/${payer.toLowerCase()}/${epoch}`;

/** A question can be asked again once it was answered. */
export const answerWorkflowId = (question: string, transaction: string): string =>
  `answer/${question}/${transaction}`;

/** The activity's id carries the runner, so that a payload codec can choose the runner's key. */
export const trainActivityId = (runner: string): string => `train/${runner.toLowerCase()}`;
export const revealActivityId = (runner: string): string => `reveal/${runner.toLowerCase()}`;
