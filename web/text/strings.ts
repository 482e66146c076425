import { acts, wallet } from './screens/acting.js';
import { job, receipt } from './screens/job.js';
import { check, model } from './screens/model.js';
import { claim, rewards } from './screens/rewards.js';
import { mine, runners } from './screens/runners.js';
import { stack } from './screens/stack.js';

/** Every sentence of the page: those of one screen in a file of their own, so that they can be read in one go. */
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
    mine: 'Mine',
  },
  loading: 'Loading …',
  notFound: 'There is no such page.',
  noConfig: 'config.json could not be read, so the page does not know where its stack is.',
  silent: 'The API does not answer.',
  late: 'The API is slow to answer.',
  stale: (age: string) => `What is shown is stale: it is what the API said ${age}.`,
  recent: (age: string) => `What is shown is what it said ${age}.`,
  oldConfig: 'config.json does not answer either; what it said at an earlier visit stands in for it.',
  without:
    'This screen shows what only the API knows. Without it, models and their lineage can be looked at and checked from chain and archive, and rewards can be recomputed and claimed.',
  command: 'On the command line',
  copy: 'Copy',
  pagesOf: 'Pages of',
  rowsShown: (first: string, last: string, all: string) => `${first} to ${last} of ${all}`,
  rowsBefore: 'before',
  rowsAfter: 'after',
  allOf: (count: string, what: string) => `All ${count} ${what}`,
  download: 'Download as',
  close: 'Close',
  job,
  receipt,
  model,
  check,
  runners,
  rewards,
  stack,
  mine,
  wallet,
  claim,
  acts,
} as const;
