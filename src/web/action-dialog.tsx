import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { withArrows } from './amounts.ts';
import type { Answer, Api, Problem, Session } from './api.ts';
import { DiffBox } from './copy-box.tsx';
import { Icon } from './icons.tsx';

/** Asks before anything is changed: says what would be done while it is being chosen. */

/** What the daemon answers to a wish; see `docs/http-api.md`. */
export interface Outcome {
  readonly says: string;
  readonly note?: string;
  /** Lines of the configuration that come and go. */
  readonly diff?: readonly string[];
}

export interface Wish {
  /** Below `api/v1/`. */
  readonly path: string;
  readonly body: object;
}

export interface ActionDialogProps {
  readonly api: Api;
  readonly role: Session['role'];
  readonly title: string;
  readonly verb: string;
  /** undefined: what is chosen is no wish yet. */
  readonly wish: Wish | undefined;
  /** Whether `force` means anything here. */
  readonly mayForce?: boolean;
  readonly onClose: () => void;
  /** It was done: what is shown should be asked for anew. */
  readonly onDone: () => void;
  readonly children?: ComponentChildren;
}

/** While somebody is typing nothing is asked. */
const TYPING_MS = 250;

export function ActionDialog(props: ActionDialogProps) {
  const { api, role, title, verb, wish, mayForce = false, onClose, onDone, children } = props;
  const titleId = useId();
  const [force, setForce] = useState(false);
  const [done, setDone] = useState<Outcome>();
  const [failed, setFailed] = useState<Problem>();
  const [isBusy, setBusy] = useState(false);
  const asked = wish && { ...wish, body: force ? { ...wish.body, force: true } : wish.body };
  const preview = usePreview(api, done === undefined ? asked : undefined);
  const dialog = useModal();
  const isRefused = preview?.ok === false;
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (asked === undefined || isBusy) return;
    setBusy(true);
    setFailed(undefined);
    const answer = await api.post<Outcome>(asked.path, asked.body);
    setBusy(false);
    if (!answer.ok) return setFailed(answer.problem);
    setDone(answer.value);
    onDone();
  };
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id={titleId}>{title}</h2>
        {done === undefined && children}
        {done === undefined && mayForce && role === 'admin' && (isRefused || force) && (
          <label class="check">
            <input
              type="checkbox"
              checked={force}
              onChange={({ currentTarget }) => setForce(currentTarget.checked)}
            />
            Force it past the bounds of its policy. What is in use is never cut.
          </label>
        )}
        <div class="preview" role="status">
          <PreviewWords preview={preview} done={done} failed={failed} isBusy={isBusy} />
        </div>
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            {done === undefined ? 'Cancel' : 'Close'}
          </button>
          {done === undefined && (
            <button type="submit" class="primary" disabled={preview?.ok !== true || isBusy}>
              {verb}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}

/** Opens the dialog as soon as it is there. */
function useModal() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (dialog.current?.open === false) dialog.current.showModal();
  }, []);
  return dialog;
}

/** What would come of a wish; undefined: not known yet. */
function usePreview(api: Api, wish: Wish | undefined): Answer<Outcome> | undefined {
  const [known, setKnown] = useState<{ readonly of: string; readonly answer: Answer<Outcome> }>();
  const key = wish === undefined ? '' : JSON.stringify(wish);
  useEffect(() => {
    if (key === '') return;
    const { path, body } = JSON.parse(key) as Wish;
    let isWanted = true;
    const timer = window.setTimeout(async () => {
      const answer = await api.post<Outcome>(`${path}?dry_run=1`, body);
      if (isWanted) setKnown({ of: key, answer });
    }, TYPING_MS);
    return () => {
      isWanted = false;
      window.clearTimeout(timer);
    };
  }, [api, key]);
  return known?.of === key ? known.answer : undefined;
}

interface PreviewWordsProps {
  readonly preview: Answer<Outcome> | undefined;
  readonly done: Outcome | undefined;
  readonly failed: Problem | undefined;
  readonly isBusy: boolean;
}

function PreviewWords({ preview, done, failed, isBusy }: PreviewWordsProps) {
  if (done !== undefined) {
    return (
      <p class="good">
        <Icon name="check" /> {withArrows(done.says)} {done.note}
      </p>
    );
  }
  if (isBusy) return <p class="muted">At work. A change is read back before it counts.</p>;
  const problem = failed ?? (preview?.ok === false ? preview.problem : undefined);
  if (problem !== undefined) {
    return (
      <p class="bad">
        <Icon name="alert" /> {problem.says}
      </p>
    );
  }
  if (preview?.ok !== true) return <p class="muted">Preview: …</p>;
  const { says, note, diff = [] } = preview.value;
  return (
    <>
      <p>
        <span class="muted">Preview: </span>
        {withArrows(says)} {note}
      </p>
      {diff.length > 0 && <DiffBox text={diff.join('\n')} label="What is changed in the file" />}
    </>
  );
}
