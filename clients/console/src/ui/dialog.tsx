import { type ReactNode, useEffect, useId, useRef } from 'react';
import { text } from '../text.ts';
import { Failure } from './states.tsx';

/** The browser's own dialog: it keeps the focus, closes by Escape, and gives the focus back. */
export const Dialog = ({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) => {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onCancel={onClose} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
};

/** A question before something happens: who is affected, and a button that says what it does. */
export const Confirmation = ({
  title,
  act,
  kind = 'primary',
  onAct,
  onClose,
  isPending,
  error,
  isBlocked = false,
  children,
}: {
  title: string;
  act: string;
  kind?: 'primary' | 'danger';
  onAct: () => void;
  onClose: () => void;
  isPending: boolean;
  error: unknown;
  isBlocked?: boolean;
  children: ReactNode;
}) => (
  <Dialog title={title} onClose={onClose}>
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onAct();
      }}
    >
      {children}
      {error ? <Failure error={error} /> : null}
      <div className="actions">
        <button type="button" onClick={onClose}>
          {text.states.leave}
        </button>
        <button type="submit" className={kind} disabled={isPending || isBlocked}>
          {act}
        </button>
      </div>
    </form>
  </Dialog>
);
