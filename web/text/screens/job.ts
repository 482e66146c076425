/** The screens of jobs and the receipt of a round. */
export const job = {
  none: 'No job has been run yet. The demo starts one: npm start',
  gone: 'There is no such job here.',
  accuracy: 'Accuracy on held-out data',
  loss: 'Loss on held-out data',
  waiting: 'The job is queued; its first round has not begun.',
  missingMark: 'a runner was missing',
  roundsShown: (first: string, last: string, all: string) => `rounds ${first} to ${last} of ${all}`,
  ofNewest: (count: string) => `of the newest ${count} rounds`,
  moreAsked: (count: string) => `and ${count} more`,
  runnersOf: (there: string, all: string) => `${there} of ${all}`,
  checked: (checked: number, all: number) => `${checked} of ${all} rounds checked by this browser`,
  checkedFalse: (round: number) =>
    `Round ${round} is not what the chain says. Open it to see which field is wrong.`,
  checkedStopped: (reason: string) => `Rounds could not be checked: ${reason}.`,
  now: (round: number, phase: string) => `Round ${round} is ${phase}`,
  quorum: (here: number, asked: number, quorum: string) =>
    `${here} of ${asked} updates are in, ${quorum} needed`,
  grace: (factor: string) => `the slow ones may take ${factor} times the median`,
  deadline: (left: string) => `waits at most ${left} more`,
  announce: (round: number, accuracy: string, missing: number) =>
    `Round ${round} is done: accuracy ${accuracy}, ${missing === 0 ? 'nobody' : missing} missing.`,
  everybody: 'nobody',
} as const;

export const receipt = {
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
} as const;
