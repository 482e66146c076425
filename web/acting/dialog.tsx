import { render, type ComponentChildren } from 'preact';
import { strings } from '../text/strings.js';

/** Shows something before which the page waits. The browser keeps the focus inside, and puts it back at the end. */
export function showDialog(title: string, content: ComponentChildren): void {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-labelledby', 'dialog-title');
  document.body.append(dialog);
  dialog.addEventListener('close', () => {
    render(null, dialog);
    dialog.remove();
  });
  render(
    <>
      <header class="head">
        <h2 id="dialog-title">{title}</h2>
        <button type="button" onClick={() => dialog.close()}>
          {strings.close}
        </button>
      </header>
      {content}
    </>,
    dialog,
  );
  dialog.showModal();
}
