/** The screen of rewards, and claiming. */
export const rewards = {
  none: 'No epoch has been published yet.',
  fromChain: 'The API does not answer. Recomputed below, epochs and earnings come from chain and archive.',
  recompute: 'Recompute all rewards here',
  explain:
    'Every epoch is rebuilt from the manifests that the chain names, and its root compared with the one on chain.',
  isTrue: (count: number, ms: string) =>
    `True. Every epoch rebuilt, ${count} comparisons agree with the chain, in ${ms}.`,
  leaf: 'My leaf',
  leafExplain:
    'The line of the epoch in effect that an account is paid by. Its proof was followed up to the root on chain in this browser.',
  leafNone: 'Recompute first; then the leaf of each account stands here with its proof.',
  account: 'Account',
  openUntil: (moment: string) => `open to objections until ${moment}`,
  closedSince: (age: string) => `closed ${age}`,
  unsettled: (amount: string) => `and ${amount} to be settled`,
} as const;

export const claim = {
  verb: 'Claim',
  title: (name: string) => `Claim what ${name} has earned`,
  does: 'The contract pays the account of the leaf, whoever sends the claim. It pays the difference to what was paid before, so claiming again pays nothing.',
  pays: 'Pays, in tokens',
  to: 'To',
  epoch: 'Epoch',
  send: 'Claim with the wallet',
  simulating: 'Running the claim without sending it …',
  simulated: 'The node behind your wallet ran the claim, and the contract would pay it.',
  cost: (gas: string, price: string, ether: string) =>
    `It takes about ${gas} gas. At ${price} gwei each, which is the price now, that is ${ether} of the chain's coin.`,
  tooPoor: (has: string) => `The account has only ${has} of the chain's coin.`,
  waiting: 'Sent. Waiting until it stands in a block …',
  nothing: 'Nothing is left to claim: all of it was paid before.',
  paid: (amount: string, gas: string) => `Paid: ${amount} tokens, for ${gas} gas.`,
  refused: (reason: string) => `Not claimed: ${reason}`,
} as const;
