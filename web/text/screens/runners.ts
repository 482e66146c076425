/** The screen of runners, and a runner's own page. */
export const runners = {
  none: 'No runner is enrolled.',
  offline: (age: string) => `silent for too long, last sign of life ${age}`,
  alive: (age: string) => `sign of life ${age}`,
  drained: (reason: string, by: string) =>
    `drained, so it gets no new rounds${reason === '' ? '' : `: ${reason}`} (by ${by})`,
  suspended: (reason: string) => `suspended: ${reason}`,
  stake: 'Stake on chain',
  missedNone: 'Missed',
  missed: (name: string) => `Missed in ${name}`,
  enrol: 'How to enrol a runner',
  enrolExplain:
    'On the machine that has the data, in one paste. It makes its keys, says what to send where, and enters this stack by itself; its policy allows nothing until you write it.',
} as const;

export const mine = {
  running: 'running',
  stopped: 'not running',
  whole: (records: string) => `${records} records follow from each other, and the runner signed for the last`,
  broken: (file: string, line: number, reason: string) => `${file}, line ${line}: ${reason}`,
  address: 'Address',
  member: 'Member',
  onChain: 'On chain',
  stake: 'Stake',
  gas: 'Coin for gas',
  data: 'Data',
  noData: 'none',
  stacks: 'Its stacks',
  decisions: 'What was asked, sent and refused',
  nothing: 'Nothing was decided yet.',
  allowed: (data: string, rule: string) => `on ${data}, by rule ${rule} of the policy`,
  sent: (samples: string, bytes: string) => `an update from ${samples} samples, ${bytes} bytes, sealed`,
  enrolled: (data: string, until: string) => `with the data ${data}, until ${until}`,
  rules: 'The policy',
  earnings: 'Earnings',
  paid: 'Paid on chain, by all payers',
  credited: 'Credited by this stack',
  toClaim: 'Recompute and claim on the Rewards screen',
} as const;
