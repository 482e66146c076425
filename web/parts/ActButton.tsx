import { useState } from 'preact/hooks';
import type { Act } from '../acting/act.js';
import type * as acting from '../acting/open.js';
import { strings } from '../text/strings.js';

type Acting = typeof acting;

/** Opens something that needs a wallet. What it needs is fetched now, and not with the page. */
export function ActingButton({
  label,
  about,
  open,
}: {
  label: string;
  /** Of several alike, what this one is for; for those who hear the page. */
  about?: string;
  open: (acting: Acting) => void;
}) {
  const [failed, setFailed] = useState(false);
  const start = () => import('../acting/open.js').then(open, () => setFailed(true));
  return (
    <>
      <button
        type="button"
        aria-label={about === undefined ? undefined : `${label} ${about}`}
        onClick={() => void start()}
      >
        {label}
      </button>
      {failed && <span role="alert">{strings.wallet.notLoaded}</span>}
    </>
  );
}

export const ActButton = ({ act }: { act: Act }) => (
  <ActingButton label={strings.acts[act.action].verb} about={act.name} open={({ openAct }) => openAct(act)} />
);
