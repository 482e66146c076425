/** The screen of the stack. */
export const stack = {
  chain: 'Chain',
  archive: 'Archive',
  table: 'Table',
  parts: 'Parts',
  noAnswer: 'does not answer this browser',
  costs: 'Costs',
  noCosts: 'No round has been anchored yet, so there is nothing to count.',
  gasOfRound: 'Gas of a round (median)',
  gasPrice: 'Price of gas now',
  costOfRound: 'A round at that price',
  gasOfEpoch: 'Gas of an epoch (median)',
  cloud:
    'What a month of the stack itself costs in the cloud depends on how it is used; the command line reckons it from list prices.',
  workflows: 'Workflows',
  contracts: 'Contracts',
  queues: 'Queues',
  queueNames: { jobs: 'Jobs to start', credits: 'Shares to credit' },
  waiting: (waiting: number) => `${waiting} waiting`,
  waitingAndDead: (waiting: number, dead: number) => `${waiting} waiting, ${dead} could not be processed`,
  deadLetters: 'Messages that could not be processed',
} as const;
