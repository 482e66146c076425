/** What needs a wallet: loaded when somebody first wants to do something. */
import { strings } from '../text/strings.js';
import type { Act } from './act.js';
import { ActForm } from './ActForm.js';
import { ClaimForm, type Claimable } from './ClaimForm.js';
import { showDialog } from './dialog.js';

export const openAct = (act: Act): void =>
  showDialog(strings.acts[act.action].title(act.name), <ActForm act={act} />);

export const openClaim = (claimable: Claimable): void =>
  showDialog(strings.claim.title(claimable.name), <ClaimForm claimable={claimable} />);
