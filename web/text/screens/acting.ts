/** What is said to somebody who acts with a wallet, and of what was done. */
export const wallet = {
  none: 'No wallet has announced itself to this page. On the command line:',
  use: (name: string) => `Use ${name}`,
  account: 'Account',
  chain: 'Chain id of the wallet',
  wrongChain: (has: number, wanted: number) =>
    `Your wallet is on chain ${has}, and this stack on chain ${wanted}. Nothing is signed or sent there.`,
  switchTo: (chainId: number) => `Switch the wallet to chain ${chainId}`,
  signs: 'What you sign',
  sign: (name: string) => `Sign with ${name} and send`,
  asking: 'Waiting for you in the wallet …',
  done: (outcome: string) => `Done: ${outcome}.`,
  declined: (reason: string) => `The wallet declined: ${reason}`,
  youDeclined: 'You declined in the wallet. Nothing was done.',
  refused: (reason: string) => `Not done: ${reason}`,
  notLoaded: 'What this needs could not be loaded.',
} as const;

export const acts = {
  title: 'What was done to it',
  logTitle: 'Acts',
  none: 'Nobody has paused, drained or put back anything here.',
  caption: 'Who did what, newest first',
  unknown: 'nothing is known of it yet',
  check: 'Check the log here',
  isTrue: (count: number, ms: string) =>
    `True. Each record follows from the one before and was signed by whom it names: ${count} comparisons in ${ms}.`,
  pausing: 'It pauses before its next round.',
  resuming: 'It was told to go on.',
  cancelling: 'It was told to end. Finished rounds stand and are paid.',
  'job.pause': {
    verb: 'Pause',
    title: (name: string) => `Pause ${name}`,
    does: 'The round under way is finished; the next one does not begin until somebody resumes the job.',
  },
  'job.resume': {
    verb: 'Resume',
    title: (name: string) => `Resume ${name}`,
    does: 'The job goes on with its next round.',
  },
  'job.cancel': {
    verb: 'Cancel',
    title: (name: string) => `Cancel ${name}`,
    does: 'The job ends now and cannot be resumed. Finished rounds stand and are paid; the round under way is dropped, and what is left of the budget goes back to the payer once the last round can no longer be disputed.',
  },
  'runner.drain': {
    verb: 'Drain',
    title: (name: string) => `Drain ${name}`,
    does: 'The runner finishes what it has and gets no new rounds of this stack. Its owner, its member and the member of this stack may do so.',
    reason: 'Why, for everybody to see (may be left out)',
  },
  'runner.undrain': {
    verb: 'End draining',
    title: (name: string) => `Give ${name} rounds again`,
    does: 'The runner gets rounds of this stack again.',
  },
  'runner.suspend': {
    verb: 'Suspend',
    title: (name: string) => `Suspend ${name}`,
    does: 'The runner is let in nowhere at this stack until it is resumed. Only the member of this stack may do so.',
    reason: 'Why, for the runner and everybody else to see',
  },
  'runner.resume': {
    verb: 'End suspension',
    title: (name: string) => `Let ${name} in again`,
    does: 'The runner may enter this stack again.',
  },
  'queue.redrive': {
    verb: 'Put back',
    title: (name: string) => `Put the dead letters back: ${name}`,
    does: 'Messages that could not be processed go back into their queue, at most 1,000 at a time. Do so once the cause is gone; processing one twice does no harm.',
  },
} as const;
